// burst COUNT CONCURRENCY PREFIX INPUT OUTPUT COMMAND: runs a CNI plugin COUNT times, CONCURRENCY of
// them at a time, call n for container PREFIX-n in the namespace of that name. Prints "<failures>
// <wall ns> <cpu us of the processes>"; OUTPUT.n is what a failed call n printed.
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;

static long long nowNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void spawnCall(int number, char** argv) {
  char container[128];
  char netns[256];
  char output[4096];
  snprintf(container, sizeof(container), "%s-%d", argv[3], number);
  snprintf(netns, sizeof(netns), "/var/run/netns/%s", container);
  snprintf(output, sizeof(output), "%s.%d", argv[5], number);
  setenv("CNI_CONTAINERID", container, 1);
  setenv("CNI_NETNS", netns, 1);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, argv[4], O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t child;
  char* const command[] = {argv[6], NULL};
  if (posix_spawn(&child, argv[6], &files, NULL, command, environ) != 0) exit(1);
  posix_spawn_file_actions_destroy(&files);
}

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  int count = atoi(argv[1]);
  int concurrency = atoi(argv[2]);
  int failures = 0;
  int running = 0;
  long long startedAt = nowNs();
  for (int next = 0; next < count || running > 0;) {
    if (next < count && running < concurrency) {
      spawnCall(next++, argv);
      running++;
      continue;
    }
    int status;
    if (wait(&status) < 0) return 1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) failures++;
    running--;
  }
  long long elapsed = nowNs() - startedAt;
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  long cpu = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L + usage.ru_utime.tv_usec +
             usage.ru_stime.tv_usec;
  printf("%d %lld %ld\n", failures, elapsed, cpu);
  return 0;
}
