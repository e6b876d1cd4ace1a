/* Reads a channel as fast as possible while others write it, and checks each snapshot: all of its content follows from its seed.
 *
 *     racer DIRECTORY SNAPSHOTS FILES
 *
 * exits with 0 once it has checked SNAPSHOTS snapshots from FILES files. tests/stress says what they consist of. */
#include "traincast.h"

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

static int torn(uint64_t seed, const char *what) {
    fprintf(stderr, "TORN: %s is not that of %llu\n", what, (unsigned long long)seed);
    return 1;
}

/* Whether all parts of a snapshot belong together. 0: they do. */
static int check(tc_reader *reader, tc_key *seed_key, tc_key *real, tc_key *words, tc_key *text, tc_key *deep) {
    uint64_t seed = (uint64_t)tc_i64(reader, seed_key, -1), first = mix(seed);
    size_t len = 0;
    tc_array array;
    char wanted[32];
    if (seed_key->error) return torn(seed, tc_why(seed_key));
    if (tc_f64(reader, real, -1) != (double)(first >> 11)) return torn(seed, "the float");
    if (tc_view(reader, words, &array) != 0 || array.itemsize != 8 || array.ndim != 1) return torn(seed, "the array");
    for (size_t i = 0; i < array.count; i++)
        if (((const uint64_t *)array.data)[i] != first + i) return torn(seed, "an element");
    snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)seed);
    const char *found = tc_str(reader, text, "", &len);
    if (len != strlen(wanted) || memcmp(found, wanted, len) != 0) return torn(seed, "the string");
    /* Two of three snapshots have it, each of these at a different place. */
    int64_t inner = tc_i64(reader, deep, -1);
    if (seed % 3 == 0 ? deep->error != -ENOENT : inner != (int64_t)(first >> 1)) return torn(seed, "what is nested");
    return 0;
}

int main(int argc, char **argv) {
    static tc_reader reader;
    static tc_key seed, real, words, text, deep;
    if (argc != 4) return 2;
    uint64_t goal = strtoull(argv[2], NULL, 10), files = strtoull(argv[3], NULL, 10), checked = 0, polls = 0;
    uint64_t term = 0, epoch = 0, version = 0;
    int error = tc_open_at(&reader, argv[1], "run", 3, sizeof reader);
    if (error != 0 && error != -ENOENT) {
        fprintf(stderr, "%s\n", tc_error(&reader));
        return 1;
    }
    tc_key(&reader, "seed", &seed);
    tc_key(&reader, "real", &real);
    tc_key(&reader, "words", &words);
    tc_key(&reader, "text", &text);
    tc_key(&reader, "nested.deep", &deep);
    for (int news = reader.version != 0; checked < goal || reader.files_ < files; news = tc_poll(&reader)) {
        polls++;
        if (news < 0 && news != -ENOENT) {
            fprintf(stderr, "TORN: %s\n", tc_error(&reader));
            return 1;
        }
        if (news != 1) continue;
        if (reader.term < term || (reader.term == term && (reader.epoch < epoch || (reader.epoch == epoch && reader.version <= version)))) {
            fprintf(stderr, "BACK: version %llu after %llu\n", (unsigned long long)reader.version, (unsigned long long)version);
            return 1;
        }
        term = reader.term;
        epoch = reader.epoch;
        version = reader.version;
        if (check(&reader, &seed, &real, &words, &text, &deep)) return 1;
        checked++;
    }
    printf("%llu snapshots checked, of %llu polls, in %llu files\n", (unsigned long long)checked, (unsigned long long)polls,
           (unsigned long long)reader.files_);
    tc_close(&reader);
    return 0;
}
