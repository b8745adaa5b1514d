import { COMMAND_NAMES, COMMANDS } from './commands.ts';
import { described } from './described.ts';
import { ROOT_EPILOGUE } from './help-text.ts';
import { commandPage, type Edition, type ManPage, rootPage } from './man-page.ts';

/** All pages, that of `weft` first. */
export async function manPages(edition: Edition): Promise<readonly ManPage[]> {
  const commands = await Promise.all(COMMANDS.map(described));
  return [
    rootPage(commands, ROOT_EPILOGUE, edition),
    ...commands.map((command) => commandPage(command, COMMAND_NAMES, edition)),
  ];
}
