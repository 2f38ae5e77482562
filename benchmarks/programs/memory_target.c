/* SPDX-License-Identifier: Apache-2.0
 *
 * A process that has touched MIB of its memory, a part of what it has reserved, and answers commands:
 *
 *   fork          ns that fork() takes, the median of three
 *   write PATH    ns that writing the same bytes to a file takes: pwrite, 1 MiB at a time, one thread
 *   change N      ns that writing to every Nth page takes
 *   watch, gap    the longest time since "watch" for which a thread that sleeps 1 ms at a time stood still
 *
 * Arguments: MIB THREADS small|huge RESERVED_GIB
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PIECE = 1 << 20, HUGE = 2 << 20 };

static char *memory;
static size_t pieces, stride; /* touched, PIECE bytes each; distance between them */
static volatile int64_t largest_gap;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void *sleep_for_ever(void *unused) {
    (void)unused;
    for (;;) pause();
}

static void *watch(void *unused) {
    (void)unused;
    for (;;) {
        const struct timespec rest = {0, 1000000};
        const int64_t start = now();
        nanosleep(&rest, NULL);
        const int64_t gap = now() - start - rest.tv_nsec;
        if (gap > largest_gap) largest_gap = gap;
    }
}

static int64_t fork_once(void) {
    const int64_t start = now();
    const pid_t child = fork();
    if (child == 0) _exit(0);
    const int64_t elapsed = now() - start;
    if (child < 0) fail("fork");
    waitpid(child, NULL, 0);
    return elapsed;
}

static int compare(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t fork_thrice(void) {
    int64_t times[3];
    for (int i = 0; i < 3; ++i) times[i] = fork_once();
    qsort(times, 3, sizeof *times, compare);
    return times[1];
}

static int64_t write_all(const char *path) {
    const int64_t start = now();
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) fail(path);
    for (size_t i = 0; i < pieces; ++i)
        if (pwrite(file, memory + i * stride, PIECE, i * PIECE) != PIECE) fail("pwrite");
    close(file);
    return now() - start;
}

static int64_t change(size_t every) {
    static char value;
    const int64_t start = now();
    ++value;
    for (size_t page = 0; page < pieces * (PIECE / PAGE); page += every)
        memory[page * PAGE / PIECE * stride + page * PAGE % PIECE + sizeof(size_t)] = value;
    return now() - start;
}

static void start_thread(void *(*body)(void *)) {
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    if (pthread_create(&thread, &small, body, NULL) != 0) fail("pthread_create");
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    pieces = strtoul(argv[1], NULL, 10);
    const long threads = strtol(argv[2], NULL, 10);
    const int huge = !strcmp(argv[3], "huge");
    size_t size = strtoul(argv[4], NULL, 10) << 30;
    stride = size == 0 ? PIECE : size / pieces / PIECE * PIECE;
    if (size == 0) size = pieces * PIECE;
    char *raw = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) fail("mmap");
    memory = (char *)(((uintptr_t)raw + HUGE - 1) / HUGE * HUGE);
    madvise(memory, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    /* Every page differs, so that none is taken for zeros. */
    for (size_t i = 0; i < pieces; ++i)
        for (size_t at = 0; at < PIECE; at += PAGE) {
            const size_t number = i * PIECE + at;
            memset(memory + i * stride + at, (int)(1 + number / PAGE % 250), PAGE);
            memcpy(memory + i * stride + at, &number, sizeof number);
        }
    for (long i = 1; i < threads; ++i) start_thread(sleep_for_ever);
    puts("ready");
    fflush(stdout);
    int is_watched = 0;
    for (char line[4096]; fgets(line, sizeof line, stdin) != NULL;) {
        int64_t said = 0;
        line[strcspn(line, "\n")] = 0;
        if (!strcmp(line, "fork")) said = fork_thrice();
        if (!strncmp(line, "write ", 6)) said = write_all(line + 6);
        if (!strncmp(line, "change ", 7)) said = change(strtoul(line + 7, NULL, 10));
        if (!strcmp(line, "watch")) {
            if (!is_watched++) start_thread(watch);
            largest_gap = 0;
        }
        if (!strcmp(line, "gap")) {
            usleep(3000); /* what the command before took shows when the sleep that it hit has ended */
            said = largest_gap;
        }
        printf("%ld\n", (long)said);
        fflush(stdout);
    }
    return 0;
}
