/* What traincast.h costs.
 *
 *     cost time FILE NAME ROUNDS           ns of each operation, a line of numbers for each round
 *     cost unchanged|fresh FILE NAME CALLS  that operation alone, for callgrind to count
 *
 * FILE is the channel's, which must hold four snapshots of the same structure. They are made new again and again by moving the
 * head: this process does so itself, in a mapping of its own, so that what is read is hot. */
#include "traincast.h"

enum { BURST = 20000, NUMBERS = 10 };

static tc_reader reader;
static tc_key keys[NUMBERS];
static uint64_t *head;
static uint64_t newest;

__attribute__((noinline)) double nothing(long calls) {
    static double real;
    for (long i = 0; i < calls; i++) {
        real = (double)i;
        __asm__ volatile("" : : : "memory");
    }
    return real;
}

/* An env's reset while the learner computes: look, and take one number. */
__attribute__((noinline)) double unchanged(long calls) {
    static double real;
    for (long i = 0; i < calls; i++) {
        tc_poll(&reader);
        real = tc_f64(&reader, &keys[2], 0);
        __asm__ volatile("" : : : "memory");
    }
    return real;
}

/* The same after a publish: all ten numbers are new. */
__attribute__((noinline)) double fresh(long calls) {
    static int64_t whole[2];
    static double real[NUMBERS];
    for (long i = 0; i < calls; i++) {
        __atomic_store_n(head, (newest - ((uint64_t)(i + 1) & 3)) << 2, __ATOMIC_RELEASE);
        if (tc_poll(&reader) != 1) abort();
        whole[0] = tc_i64(&reader, &keys[0], 0);
        whole[1] = tc_i64(&reader, &keys[1], 0);
        for (int k = 2; k < NUMBERS; k++) real[k] = tc_f64(&reader, &keys[k], 0);
        __asm__ volatile("" : : : "memory");
    }
    return real[2] + (double)whole[0];
}

static double ns(double (*operation)(long), volatile double *sum) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    *sum += operation(BURST);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) / BURST;
}

int main(int count, char **arguments) {
    static const char *const paths[NUMBERS] = {
        "approx_total_training_steps", "epoch",
        "reward_shaping.goal", "reward_shaping.alive", "reward_shaping.speed", "reward_shaping.energy",
        "reward_shaping.smooth", "reward_shaping.contact", "reward_shaping.height", "reward_shaping.effort"};
    if (count != 5) return 2;
    if (tc_open(&reader, arguments[3], 0, sizeof reader)) return 3;
    for (int k = 0; k < NUMBERS; k++) {
        tc_key(&reader, paths[k], &keys[k]);
        tc_f64(&reader, &keys[k], 0);
        if (keys[k].error) return 4;
    }
    int file = open(arguments[2], O_RDWR);
    void *memory = file < 0 ? MAP_FAILED : mmap(NULL, TC_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) return 5;
    head = (uint64_t *)memory + TC_HEADER_HEAD;
    newest = *head >> 2;
    long calls = atol(arguments[4]);
    volatile double sum = fresh(BURST) + unchanged(BURST);
    if (strcmp(arguments[1], "unchanged") == 0) sum += unchanged(calls);
    else if (strcmp(arguments[1], "fresh") == 0) sum += fresh(calls);
    else
        for (long round = 0; round < calls; round++) {
            double none = ns(nothing, &sum), same = ns(unchanged, &sum), all = ns(fresh, &sum);
            printf("%.3f %.3f %.3f\n", none, same, all);
        }
    return 0;
}
