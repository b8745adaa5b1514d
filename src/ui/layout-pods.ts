/** Pods in their frame: rows with address while there are few, then chips, then cells by namespace. */
import type { UiPod } from '../agent/page/snapshot.ts';
import type { Box } from './box.ts';
import type { Selection } from './search.ts';

export type Density = 'row' | 'chip' | 'cell';

export interface PodSlot extends Box {
  readonly item: UiPod;
}

export interface PodArea {
  readonly density: Density;
  readonly slots: readonly PodSlot[];
  readonly height: number;
  /** Pods without a place. */
  readonly more: number;
}

export interface PodRoom {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly mostHeight: number;
  readonly selected: Selection | undefined;
}

const MOST_ROWS = 9;
const ROW = { height: 40, gap: 8 };
const CHIP = { height: 30, gap: 6, least: 80 };
const CELL_SIZES = [20, 16, 13, 10, 8];
const CELL_GAP = 4;

export function placePods(pods: readonly UiPod[], room: PodRoom): PodArea {
  if (pods.length <= MOST_ROWS) return grid(pods, room, 'row', 1, ROW.height, ROW.gap);
  const columns = Math.max(1, Math.floor((room.width + CHIP.gap) / (CHIP.least + CHIP.gap)));
  const rows = Math.ceil(pods.length / columns);
  if (rows * (CHIP.height + CHIP.gap) <= room.mostHeight) {
    return grid(pods, room, 'chip', columns, CHIP.height, CHIP.gap);
  }
  return cells(pods, room);
}

function cells(pods: readonly UiPod[], room: PodRoom): PodArea {
  const fitting = CELL_SIZES.find((size) => capacity(size, room) >= pods.length);
  const size = fitting ?? CELL_SIZES.at(-1) ?? 8;
  const { most, columns } = { most: capacity(size, room), columns: columnsOf(size, room) };
  const shown = withSelected(pods, most, room.selected);
  const area = grid(
    shown,
    { ...room, width: columns * (size + CELL_GAP) - CELL_GAP },
    'cell',
    columns,
    size,
    CELL_GAP,
  );
  return { ...area, more: pods.length - shown.length };
}

function columnsOf(size: number, { width }: PodRoom): number {
  return Math.max(1, Math.floor((width + CELL_GAP) / (size + CELL_GAP)));
}

function capacity(size: number, room: PodRoom): number {
  return columnsOf(size, room) * Math.floor((room.mostHeight + CELL_GAP) / (size + CELL_GAP));
}

function withSelected(
  pods: readonly UiPod[],
  most: number,
  selected: Selection | undefined,
): readonly UiPod[] {
  if (pods.length <= most) return pods;
  const first = pods.slice(0, most);
  const wanted = selected?.kind === 'pod' && pods.find(({ key }) => key === selected.key);
  return wanted && !first.includes(wanted) ? [...first.slice(0, -1), wanted] : first;
}

function grid(
  pods: readonly UiPod[],
  { x, y, width }: PodRoom,
  density: Density,
  columns: number,
  height: number,
  gap: number,
): PodArea {
  const slotWidth = (width + gap) / columns - gap;
  const slots = pods.map((item, i) => ({
    item,
    x: x + (i % columns) * (slotWidth + gap),
    y: y + Math.floor(i / columns) * (height + gap),
    width: slotWidth,
    height,
  }));
  const rows = Math.ceil(pods.length / columns);
  return { density, slots, height: Math.max(0, rows * (height + gap) - gap), more: 0 };
}
