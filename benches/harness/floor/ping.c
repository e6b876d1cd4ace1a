/* What a message between two processes costs at the least, without any library.
 *
 *   ping futex N PAUSE_US   one process sleeps in a futex, the other stores the time and wakes it
 *   ping spin N PAUSE_US    the same, but the reader spins on the word, and the writer does not sleep in its pauses
 *   ping line N             half a round trip of a cache line between two spinning processes, N in each sample
 *
 * Prints one sample a line: nanoseconds from before the store to after the reader has seen it.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    _Alignas(64) _Atomic uint32_t word;
    _Alignas(64) _Atomic uint64_t stamp;
    _Alignas(64) _Atomic uint32_t back;
    _Alignas(64) uint64_t samples[];
} Shared;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Each has a core of its own: who spins needs it, and waking a sleeper on one's own core is another, cheaper thing. */
static cpu_set_t cores;

static void pin(int place) {
    int count = CPU_COUNT(&cores), wanted = place % count;
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &cores) || wanted--) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(core, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

static void receive(Shared *shared, uint32_t count, int sleeping) {
    for (uint32_t seen = 0; seen < count; seen++) {
        while (atomic_load_explicit(&shared->word, memory_order_acquire) == seen)
            if (sleeping) syscall(SYS_futex, &shared->word, FUTEX_WAIT, seen, NULL, NULL, 0);
        shared->samples[seen] = now() - atomic_load_explicit(&shared->stamp, memory_order_relaxed);
        atomic_store_explicit(&shared->back, seen + 1, memory_order_release);
    }
}

static void send_all(Shared *shared, uint32_t count, unsigned pause_us, int sleeping) {
    struct timespec pause = {0, (long)pause_us * 1000};
    for (uint32_t next = 1; next <= count; next++) {
        if (sleeping)
            nanosleep(&pause, NULL);
        else
            for (uint64_t until = now() + pause_us * 1000u; now() < until;) {}
        while (atomic_load_explicit(&shared->back, memory_order_acquire) + 1 != next) usleep(10);
        atomic_store_explicit(&shared->stamp, now(), memory_order_relaxed);
        atomic_store_explicit(&shared->word, next, memory_order_release);
        if (sleeping) syscall(SYS_futex, &shared->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static void bounce(_Atomic uint32_t *mine, _Atomic uint32_t *other, uint32_t count, int first) {
    for (uint32_t turn = 1; turn <= count; turn++) {
        if (first) atomic_store_explicit(mine, turn, memory_order_release);
        while (atomic_load_explicit(other, memory_order_acquire) != turn) {}
        if (!first) atomic_store_explicit(mine, turn, memory_order_release);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: ping futex|spin|line N [PAUSE_US]\n");
        return 2;
    }
    uint32_t count = (uint32_t)strtoul(argv[2], NULL, 10);
    unsigned pause_us = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1000;
    int line = !strcmp(argv[1], "line"), sleeping = !strcmp(argv[1], "futex");
    CPU_ZERO(&cores);
    for (long core = 0; core < sysconf(_SC_NPROCESSORS_ONLN) && core < CPU_SETSIZE; core++) CPU_SET(core, &cores);
    size_t size = sizeof(Shared) + count * sizeof(uint64_t);
    Shared *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    memset(shared, 0, size);
    pid_t child = fork();
    pin(child == 0);
    if (child < 0) {
        perror("fork");
        return 1;
    }
    if (child == 0) {
        if (line)
            bounce(&shared->back, &shared->word, count, 0);
        else
            receive(shared, count, sleeping);
        _exit(0);
    }
    uint64_t start = now();
    if (line)
        bounce(&shared->word, &shared->back, count, 1);
    else
        send_all(shared, count, pause_us, sleeping);
    uint64_t took = now() - start;
    waitpid(child, NULL, 0);
    if (line)
        printf("%.1f\n", (double)took / count / 2);
    else
        for (uint32_t i = 0; i < count; i++) printf("%lu\n", (unsigned long)shared->samples[i]);
    return 0;
}
