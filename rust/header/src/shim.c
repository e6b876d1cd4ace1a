/* The inline functions of traincast.h and traincast_scores.h, as functions that can be linked. */
#include "traincast_scores.h"

size_t shim_reader_size(void) { return sizeof(tc_reader); }
size_t shim_key_size(void) { return sizeof(tc_key); }

int shim_open(tc_reader *r, const char *directory, const char *name, uint16_t policy_id) {
    return directory == NULL ? tc_open(r, name, policy_id, sizeof *r) : tc_open_at(r, directory, name, policy_id, sizeof *r);
}
int shim_poll(tc_reader *r) { return tc_poll(r); }
int shim_refresh(tc_reader *r) { return tc_refresh(r); }
int shim_closed(const tc_reader *r) { return tc_closed(r); }
void shim_close(tc_reader *r) { tc_close(r); }
const char *shim_error(const tc_reader *r) { return tc_error(r); }

void shim_numbers(const tc_reader *r, uint64_t numbers[5]) {
    numbers[0] = r->term;
    numbers[1] = r->epoch;
    numbers[2] = r->version;
    numbers[3] = r->published_ns;
    numbers[4] = r->published_unix_ns;
}

int shim_key(tc_reader *r, const char *path, tc_key *key) { return tc_key(r, path, key); }
int shim_key_parts(tc_reader *r, const tc_part *parts, size_t count, tc_key *key) { return tc_key_parts(r, parts, count, key); }
int shim_key_error(const tc_key *key) { return key->error; }
uint32_t shim_kind(tc_reader *r, tc_key *key) {
    tc_f64(r, key, 0.0);
    return key->kind;
}

double shim_f64(tc_reader *r, tc_key *key, double fallback) { return tc_f64(r, key, fallback); }
int64_t shim_i64(tc_reader *r, tc_key *key, int64_t fallback) { return tc_i64(r, key, fallback); }
int shim_bool(tc_reader *r, tc_key *key, int fallback) { return tc_bool(r, key, fallback); }
const char *shim_str(tc_reader *r, tc_key *key, const char *fallback, size_t *len) { return tc_str(r, key, fallback, len); }
const void *shim_bytes(tc_reader *r, tc_key *key, const void *fallback, size_t *len) { return tc_bytes(r, key, fallback, len); }
int shim_view(tc_reader *r, tc_key *key, tc_array *array) { return tc_view(r, key, array); }

size_t shim_scores_size(void) { return sizeof(tc_scores); }
int shim_scores_open(tc_scores *s, const char *directory, const char *name, uint16_t policy_id) {
    return tc_scores_open_at(s, directory, name, policy_id, sizeof *s);
}
int shim_record(tc_scores *s, size_t task, int success, double episode_return, uint64_t length) {
    return tc_record(s, task, success, episode_return, length);
}
size_t shim_scores_tasks(const tc_scores *s) { return tc_scores_tasks(s); }
const char *shim_scores_error(const tc_scores *s) { return tc_scores_error(s); }
void shim_scores_close(tc_scores *s) { tc_scores_close(s); }
