/* What tc_record costs: cost NAME ROUNDS CALLS TASKS prints the ns of a call, a line for each round. */
#include "traincast_scores.h"

#include <stdio.h>
#include <time.h>

static tc_scores scores;

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

int main(int count, char **arguments) {
    if (count != 5) return 2;
    long rounds = atol(arguments[2]), calls = atol(arguments[3]), tasks = atol(arguments[4]);
    tc_scores_open(&scores, arguments[1], 0, sizeof scores);
    for (long round = -1; round < rounds; round++) { /* the first one is not counted */
        double start = now_ns();
        for (long i = 0, task = 0; i < calls; i++) {
            if (tc_record(&scores, (size_t)task, (int)(i & 1), 7.5, 40) != 1) {
                fprintf(stderr, "%s\n", tc_scores_error(&scores));
                return 1;
            }
            if (++task == tasks) task = 0;
        }
        if (round >= 0) printf("%.3f\n", (now_ns() - start) / (double)calls);
    }
    return 0;
}
