/* A board of 11 x 11 squares, as PufferLib's "squared": the agent starts in the middle and looks for a square at the
 * edge, where it gets its reward. Until it knows that, each step towards that square is rewarded too, with a weight that the learner
 * lowers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "traincast.h"                                                                             // traincast

enum { SIZE = 11, SQUARES = SIZE * SIZE, LONGEST_EPISODE = 60 };
enum { EMPTY, AGENT, GOAL };

static struct { tc_reader reader; tc_key weight; } training; /* one thread steps all boards */  // traincast

typedef struct {
    uint8_t *observations; /* the board */
    const uint8_t *actions; /* 0 to 3: the direction */
    float *rewards;
    uint8_t *terminals;
    int8_t row, column, goal_row, goal_column, step;
    unsigned random;
    float weight; /* of steps towards the goal */
} Squares;

static int distance(const Squares *env) {
    return abs(env->row - env->goal_row) + abs(env->column - env->goal_column);
}

static void observe(Squares *env) {
    memset(env->observations, EMPTY, SQUARES);
    env->observations[env->goal_row * SIZE + env->goal_column] = GOAL;
    env->observations[env->row * SIZE + env->column] = AGENT;
}

static void c_reset(Squares *env) {
    tc_poll(&training.reader);                                                                     // traincast
    env->weight = (float)tc_f64(&training.reader, &training.weight, 1.0);                          // traincast
    env->row = env->column = SIZE / 2;
    env->step = 0;
    int edge = rand_r(&env->random) % 4, along = rand_r(&env->random) % SIZE;
    env->goal_row = (int8_t)(edge == 0 ? 0 : edge == 1 ? SIZE - 1 : along);
    env->goal_column = (int8_t)(edge == 2 ? 0 : edge == 3 ? SIZE - 1 : along);
    observe(env);
}

static void c_step(Squares *env) {
    static const int down[] = {-1, 1, 0, 0}, right[] = {0, 0, -1, 1};
    int before = distance(env), action = *env->actions & 3;
    int row = env->row + down[action], column = env->column + right[action];
    if (row >= 0 && row < SIZE) env->row = (int8_t)row;
    if (column >= 0 && column < SIZE) env->column = (int8_t)column;
    env->step++;
    int after = distance(env);
    *env->rewards = (float)(after == 0) + env->weight * (float)(before - after) / SIZE;
    *env->terminals = after == 0 || env->step == LONGEST_EPISODE;
    if (*env->terminals) c_reset(env);
    else observe(env);
}
