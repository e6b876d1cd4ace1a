/* traincast.h: read a traincast channel from C11 or C++17, on Linux.
 *
 * One file, nothing to link. Copy it into your project, or compile with `python -m traincast --cflags`.
 *
 *     static tc_reader reader;                       // one per thread
 *     static tc_key goal;
 *
 *     tc_open(&reader, "my-run", 0, sizeof reader);  // NULL: the name in TRAINCAST_NAME
 *     tc_key(&reader, "reward_shaping.goal", &goal);
 *
 *     void env_reset(void) {
 *         tc_poll(&reader);                          // takes the newest snapshot, if there is a newer one
 *         double bonus = tc_f64(&reader, &goal, 1.0);   // 1.0 until there is such a key
 *     }
 *
 * A reader never writes shared memory and never makes the learner wait. All values belong to one snapshot: only tc_poll
 * takes another one. Nothing is allocated after tc_open, unless a snapshot is larger than all before. A learner that
 * starts later, starts again, closes, or moves to a larger file is followed. There are no threads and no globals. A reader
 * serves one thread; after a fork() the child opens its own.
 *
 * Functions that can fail return a negative errno, and tc_error() says it in words; the snapshot in hand stays. The files are
 * described in docs/layout.md of traincast. With -std=c11, include this header before others,
 * or compile with -D_DEFAULT_SOURCE.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TRAINCAST_H
#define TRAINCAST_H

#if defined(__STRICT_ANSI__) && !defined(_POSIX_C_SOURCE) && !defined(_DEFAULT_SOURCE) && !defined(_GNU_SOURCE)
#define _DEFAULT_SOURCE 1 /* -std=c11 hides what POSIX has */
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#if !defined(__linux__) || !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "traincast's files are those of little-endian Linux"
#endif
#if !defined(O_NOFOLLOW) || !defined(O_CLOEXEC)
#error "include traincast.h before other headers, or compile with -D_DEFAULT_SOURCE"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- constants: generated from rust/core/src/layout.rs -------------------------------------------------------------------- */
/* begin constants */
#define TC_SEGMENT_MAGIC UINT64_C(0x7473636e69617274)
#define TC_LAYOUT_VERSION 2
#define TC_PAGE 4096
#define TC_HEADER_BYTES 4096
#define TC_HEADER_WORDS 512
#define TC_SLOTS 4
#define TC_LARGEST_CAPACITY UINT64_C(0x10000000000)
#define TC_LARGEST_POSITION UINT64_C(0xfffffffffffffff)
#define TC_NAME_BYTES 128
#define TC_MAX_DEPTH 64
#define TC_CLOSED 1
#define TC_LINK_LEARNER_CLOSED 2
#define TC_HEADER_MAGIC 0
#define TC_HEADER_LAYOUT 1
#define TC_HEADER_TOTAL 2
#define TC_HEADER_CAPACITY 3
#define TC_HEADER_SLOTS 4
#define TC_HEADER_IDENTITY 7
#define TC_HEADER_NAME 8
#define TC_HEADER_HEAD 64
#define TC_HEADER_LINK 97
#define TC_SLOT_SEQ 0
#define TC_SLOT_POSITION 1
#define TC_SLOT_TERM 2
#define TC_SLOT_EPOCH 3
#define TC_SLOT_VERSION 4
#define TC_SLOT_PUBLISHED 5
#define TC_SLOT_PUBLISHED_UNIX 6
#define TC_SLOT_TAKEOVER 7
#define TC_SLOT_SHAPE_ID 8
#define TC_SLOT_SHAPE_LEN 9
#define TC_SLOT_VALUES_LEN 10
#define TC_SLOT_BLOB_WORDS 11
#define TC_SLOT_PAYLOAD 16
/* end constants */

enum {
    TC_PATH_BYTES = 232, /* longest path of keys, each with 3 bytes more, or 9 for an int */
    TC_LOOK_EVERY = 4096, /* polls without news between two looks at the file's name */
    TC_MAX_LAPS = 4096    /* times that the writer may go round the ring during one copy */
};

/* What a key leads to. The numbers are those of the file. */
enum tc_kind {
    TC_NONE = 0,
    TC_BOOL = 1,
    TC_INT = 2,
    TC_FLOAT = 3,
    TC_BIG_INT = 4, /* beyond 64 bits: no getter gives it */
    TC_STR = 5,
    TC_BYTES = 6,
    TC_LIST = 7,
    TC_TUPLE = 8,
    TC_DICT = 9,
    TC_SCALAR = 10, /* of numpy */
    TC_ARRAY = 11,
    TC_TENSOR = 12,
    TC_MISSING = 255 /* it leads nowhere, or there is no snapshot yet */
};

/* Where a value lies; resolved once, and again when the structure of the snapshots changes. */
typedef struct tc_key {
    uint64_t serial;   /* of the structure for which the rest holds */
    int error;         /* of the last getter: 0, or a negative errno */
    uint32_t kind;     /* enum tc_kind */
    uint32_t value_at; /* word of the values */
    uint32_t blob;     /* which of the blobs */
    uint32_t itemsize;
    uint32_t ndim;
    uint32_t dtype_at, dtype_len; /* in the bytes of the shape */
    uint16_t path_len;
    unsigned char path[TC_PATH_BYTES];
} tc_key;

/* One key of a path: a name, or an int (of a dictionary, or an index; negative: from the end). */
typedef struct tc_part {
    const char *name; /* NULL: the int */
    int64_t number;
} tc_part;

/* An array in C order, valid until the next tc_poll. */
typedef struct tc_array {
    const void *data;      /* aligned to 64 bytes */
    const uint64_t *shape; /* ndim numbers */
    size_t ndim;
    size_t count; /* elements */
    size_t itemsize;
    const char *dtype; /* numpy's dtype.str, as "<f8", or a name as "bfloat16"; dtype_len bytes, not terminated */
    size_t dtype_len;
} tc_array;

typedef struct tc_span_ {
    size_t at, len; /* bytes */
} tc_span_;

typedef struct tc_blob_ { /* a leaf with bytes of its own */
    uint32_t value_at, kind, ndim, itemsize;
} tc_blob_;

typedef struct tc_structure_ {
    uint64_t file, takeover, id; /* which one: file 0 is none */
    size_t len;                  /* bytes of the shape */
    uint64_t *bytes;
    size_t bytes_cap;
    size_t values_len;
    tc_blob_ *blobs;
    size_t blobs_len, blobs_cap;
} tc_structure_;

typedef struct tc_copy_ {
    uint64_t *values;
    size_t values_cap;
    void *blobs;
    size_t blobs_cap, blobs_len; /* words */
    tc_span_ *places;
    size_t places_cap;
} tc_copy_;

typedef struct tc_file_ {
    const uint64_t *words; /* NULL: none */
    size_t bytes;
    size_t stride; /* words from slot to slot */
    dev_t device;
    ino_t inode;
    uint64_t number; /* no two files of a reader have the same */
} tc_file_;

/* A reader of one channel. Read the numbers; leave the rest alone. */
typedef struct tc_reader {
    const uint64_t *head_;
    uint64_t seen_; /* the head when there was nothing new */
    const uint64_t *values_;
    uint64_t serial_; /* of the structure in hand; 0: no snapshot */
    uint32_t look_in_;

    uint64_t version; /* of the snapshot in hand; 0 before the first */
    uint64_t epoch;
    uint64_t term;
    uint64_t published_ns;      /* CLOCK_MONOTONIC of this machine */
    uint64_t published_unix_ns; /* at the learner */
    int closed;                 /* the learner has closed the channel, and none has opened it again */

    int structure_, copy_; /* which of the two is in hand; the other one is for the next snapshot */
    uint64_t position_, serials_, files_;
    tc_file_ file_;
    tc_structure_ structures_[2];
    tc_copy_ copies_[2];
    const char *error_;
    uint16_t policy_id_;
    char name_[TC_NAME_BYTES + 1];
    char directory_[PATH_MAX]; /* empty: the two that every process knows */
} tc_reader;

/* --- what is used --------------------------------------------------------------------------------------------------------- */

/* Opens a channel by its name (NULL: $TRAINCAST_NAME) in the directory that Python code would use. 0, or
 * -ENOENT: there is no such channel yet. The reader is good: each tc_poll looks again.
 * -EINVAL: not a name that a channel can have, or a header of another version than the rest of the program has.
 * -EACCES: the directory is not the user's alone. -ENOMEM. What tc_poll says of the file. Then the reader is closed. */
static inline int tc_open(tc_reader *reader, const char *name, uint16_t policy_id, size_t sizeof_reader);

/* The same, in a directory of your choice. */
static inline int tc_open_at(tc_reader *reader, const char *directory, const char *name, uint16_t policy_id, size_t sizeof_reader);

/* Takes the newest snapshot. 1: another one than before; 0: the same; -ENOENT: there is no channel, and never was one;
 * -EPROTO: the file has another layout; -EBADMSG: it is damaged; -ENOMEM; -EACCES. */
static inline int tc_poll(tc_reader *reader);

/* As tc_poll, and looks at the file's name now. tc_poll does that when the file says that it has ended, and every
 * TC_LOOK_EVERY polls: somebody may have removed it without a word. */
static inline int tc_refresh(tc_reader *reader);

/* Prepares a key. Dots lead into dictionaries, and to items of lists and tuples: "reward_shaping.goal", "levels.0". The path is
 * copied. 0, also if there is no such key yet; -EINVAL: no path; -ENAMETOOLONG: beyond TC_PATH_BYTES. */
#define tc_key(reader, path, key) tc_key_at_(reader, path, key) /* a macro, so that the type can have the same name */
static inline int tc_key_at_(tc_reader *reader, const char *path, tc_key *key);

/* The same for names with dots in them, and for ints as keys. */
static inline int tc_key_parts(tc_reader *reader, const tc_part *parts, size_t count, tc_key *key);

/* The value in the snapshot in hand, or the fallback. key->error is then 0, or
 * -ENOENT: no such key, or no snapshot; -EOVERFLOW: an int beyond 64 bits (Python's have no limit); -EINVAL: something else
 * than what was asked for, such as a float that is no whole number as an int; -EBADMSG: damage. tc_why() says it in words. */
static inline double tc_f64(tc_reader *reader, tc_key *key, double fallback);
static inline int64_t tc_i64(tc_reader *reader, tc_key *key, int64_t fallback);
static inline int tc_bool(tc_reader *reader, tc_key *key, int fallback);

/* UTF-8 of *len bytes, which does not end with a zero, valid until the next tc_poll; or the fallback. */
static inline const char *tc_str(tc_reader *reader, tc_key *key, const char *fallback, size_t *len);
static inline const void *tc_bytes(tc_reader *reader, tc_key *key, const void *fallback, size_t *len);

/* An array or tensor: 0, or the error as above, with *array untouched. */
static inline int tc_view(tc_reader *reader, tc_key *key, tc_array *array);

/* Gives everything back. Closing twice is allowed. */
static inline void tc_close(tc_reader *reader);

/* The last error of the reader, in words. */
static inline const char *tc_error(const tc_reader *reader);

/* key->error in words. */
static inline const char *tc_why(const tc_key *key);

/* --- how it works --------------------------------------------------------------------------------------------------------- */

/* The protocol is that of rust/core/src/ring/seqlock.rs, whose cases A to F argue for it; R1 to R4 are its steps. */
static inline uint64_t tc_acquire_(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline uint64_t tc_relaxed_(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }

static inline void tc_load_(void *out, const uint64_t *words, size_t count) {
    uint64_t *to = (uint64_t *)out;
    for (size_t i = 0; i < count; i++) to[i] = tc_relaxed_(&words[i]);
}

static inline int tc_fail_(tc_reader *r, int error, const char *why) {
    r->error_ = why;
    return error;
}

static inline int tc_room_(void **memory, size_t *cap, size_t count, size_t size) {
    if (count <= *cap) return 0;
    size_t wanted = count + count / 2;
    void *more = NULL;
    if (wanted < count || wanted > SIZE_MAX / size || posix_memalign(&more, 64, wanted * size) != 0) return -ENOMEM;
    free(*memory); /* nothing in it is needed */
    *memory = more;
    *cap = wanted;
    return 0;
}

/* --- the file */

static inline int tc_same_identity_(const tc_reader *r, const uint64_t *words) {
    char name[TC_NAME_BYTES];
    tc_load_(name, words + TC_HEADER_NAME, TC_NAME_BYTES / 8);
    size_t len = strlen(r->name_);
    return tc_relaxed_(&words[TC_HEADER_IDENTITY]) == ((uint64_t)len << 32 | r->policy_id_) &&
           memcmp(name, r->name_, TC_NAME_BYTES) == 0; /* both are padded with zeros */
}

static inline int tc_is_remote_(int fd) {
    static const uint32_t kinds[] = {0x6969,     0x517b,     0xff534d42, 0xfe534d42, 0x5346414f, 0x6b414653, 0x73757245,
                                     0x564c,     0x01021997, 0x00c36400, 0x0bd00bd0, 0x47504653, 0x01161970, 0x7461636f,
                                     0x19800202, 0x65735546};
    struct statfs system;
    if (fstatfs(fd, &system) != 0) return 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((uint32_t)system.f_type == kinds[i]) return 1;
    return 0;
}

/* Maps the file that has the channel's name in a directory. 0; 1: it is the one at hand; or an error. */
static inline int tc_map_(tc_reader *r, const char *directory, tc_file_ *file) {
    char name[TC_NAME_BYTES + 8];
    struct stat of;
    int folder = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return errno == ENOENT ? tc_fail_(r, -ENOENT, "there is no such channel")
                               : tc_fail_(r, -EACCES, "the directory of the channel cannot be opened, or is a link");
    if (fstat(folder, &of) != 0 || of.st_uid != geteuid() || (of.st_mode & 077) != 0 || tc_is_remote_(folder)) {
        close(folder);
        return tc_fail_(r, -EACCES, "the directory is another user's, or open to others, or not on this machine");
    }
    snprintf(name, sizeof name, "%s@%u", r->name_, (unsigned)r->policy_id_);
    int fd = -1;
    for (int tries = 0; tries < 1000; tries++) {
        fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &of) != 0 || of.st_nlink != 0) break;
        close(fd); /* replaced just now */
        fd = -1;
        errno = ENOENT;
    }
    int error = errno;
    close(folder);
    if (fd < 0)
        return error == ENOENT ? tc_fail_(r, -ENOENT, "there is no such channel")
                               : tc_fail_(r, -EBADMSG, "the channel's file cannot be opened");
    if (r->file_.words != NULL && of.st_dev == r->file_.device && of.st_ino == r->file_.inode) {
        close(fd);
        return 1;
    }
    if (!S_ISREG(of.st_mode) || of.st_uid != geteuid() || (of.st_mode & 077) != 0 || of.st_nlink > 1 ||
        of.st_size < (off_t)TC_HEADER_BYTES || of.st_size % TC_PAGE != 0) {
        close(fd);
        return tc_fail_(r, -EBADMSG, "the channel's file is none that traincast made");
    }
    size_t bytes = (size_t)of.st_size;
    void *memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    error = errno;
    close(fd);
    if (memory == MAP_FAILED) return tc_fail_(r, error == ENOMEM ? -ENOMEM : -EBADMSG, "the channel's file cannot be mapped");
    const uint64_t *words = (const uint64_t *)memory;
    uint64_t capacity = tc_relaxed_(&words[TC_HEADER_CAPACITY]);
    const char *why = NULL;
    error = -EBADMSG;
    if (tc_relaxed_(&words[TC_HEADER_MAGIC]) != TC_SEGMENT_MAGIC) {
        error = tc_relaxed_(&words[TC_HEADER_MAGIC]) == 0 ? -EBADMSG : -EPROTO;
        why = "the channel's file was not written by traincast";
    } else if (tc_relaxed_(&words[TC_HEADER_LAYOUT]) != TC_LAYOUT_VERSION) {
        error = -EPROTO;
        why = "the channel's file has another layout: learner and env need versions of traincast that fit";
    } else if (tc_relaxed_(&words[TC_HEADER_SLOTS]) != TC_SLOTS || capacity < TC_PAGE || capacity % TC_PAGE != 0 ||
               capacity > TC_LARGEST_CAPACITY || capacity * TC_SLOTS + TC_HEADER_BYTES != bytes ||
               tc_relaxed_(&words[TC_HEADER_TOTAL]) != bytes || !tc_same_identity_(r, words)) {
        why = "the header of the channel's file is damaged";
    } else if (tc_relaxed_(&words[TC_HEADER_HEAD]) >> 2 == 0 || tc_relaxed_(&words[TC_HEADER_HEAD]) >> 2 > TC_LARGEST_POSITION) {
        why = "the head of the channel's file is damaged";
    }
    if (why != NULL) {
        munmap(memory, bytes);
        return tc_fail_(r, error, why);
    }
    file->words = words;
    file->bytes = bytes;
    file->stride = (size_t)capacity / 8;
    file->device = of.st_dev;
    file->inode = of.st_ino;
    file->number = ++r->files_;
    return 0;
}

/* The user's number outside of the user namespace: it names the directory. */
static inline unsigned long tc_user_(void) {
    unsigned long user = geteuid(), inside, outside, count, found = user;
    FILE *map = fopen("/proc/self/uid_map", "re");
    if (map == NULL) return user;
    while (fscanf(map, "%lu %lu %lu", &inside, &outside, &count) == 3) {
        if (user >= inside && user - inside < count) {
            found = outside + (user - inside);
            break;
        }
    }
    fclose(map);
    return found;
}

/* Finds the channel's file where Python code would. */
static inline int tc_find_(tc_reader *r, tc_file_ *file) {
    if (r->directory_[0] != '\0') return tc_map_(r, r->directory_, file);
    static const char *const shared[] = {"/dev/shm", "/tmp"};
    int fault = 0;
    const char *why = "there is no such channel";
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/traincast-%lu", shared[i], tc_user_());
        int found = tc_map_(r, path, file);
        if (found >= 0 && found != 1 && (tc_relaxed_(&file->words[TC_HEADER_HEAD]) & 3) == TC_CLOSED) {
            munmap((void *)(uintptr_t)file->words, file->bytes); /* it is about to vanish */
            found = tc_fail_(r, -ENOENT, "there is no such channel");
        }
        if (found >= 0) return found;
        if (found != -ENOENT && !(i > 0 && found == -EACCES) && fault == 0) {
            fault = found;
            why = r->error_;
        }
    }
    return tc_fail_(r, fault != 0 ? fault : -ENOENT, why);
}

/* --- the shape */

typedef struct tc_walk_ {
    const unsigned char *at, *end;
    int bad;
} tc_walk_;

static inline uint64_t tc_number_(tc_walk_ *w) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (w->at == w->end) break;
        unsigned char byte = *w->at++;
        if (shift == 63 && byte > 1) break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) return value;
    }
    w->bad = 1;
    return 0;
}

static inline size_t tc_count_(tc_walk_ *w) {
    uint64_t count = tc_number_(w);
    if (count > (uint64_t)(w->end - w->at)) {
        w->bad = 1;
        return 0;
    }
    return (size_t)count;
}

static inline const unsigned char *tc_take_(tc_walk_ *w, size_t *len) {
    *len = tc_count_(w);
    const unsigned char *start = w->at;
    w->at += *len;
    return start;
}

static inline unsigned tc_byte_(tc_walk_ *w) {
    if (w->at == w->end) {
        w->bad = 1;
        return 0;
    }
    return *w->at++;
}

static inline int tc_is_utf8_(const unsigned char *s, size_t len) {
    for (size_t i = 0; i < len;) {
        unsigned char c = s[i];
        size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : len;
        if (more >= len - i) return 0;
        for (size_t k = 1; k <= more; k++)
            if ((s[i + k] & 0xc0) != 0x80) return 0;
        if ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f) || (c == 0xf0 && s[i + 1] < 0x90) ||
            (c == 0xf4 && s[i + 1] > 0x8f))
            return 0;
        i += more + 1;
    }
    return 1;
}

typedef struct tc_node_ {
    unsigned kind;
    size_t children; /* of a container */
    size_t words;    /* of its value */
    uint32_t ndim, itemsize;
    const unsigned char *dtype;
    size_t dtype_len;
} tc_node_;

/* What stands at a node, without its children. */
static inline void tc_node_at_(tc_walk_ *w, tc_node_ *node) {
    memset(node, 0, sizeof *node);
    node->kind = tc_byte_(w);
    switch (node->kind) {
    case TC_NONE: break;
    case TC_BOOL: case TC_INT: case TC_FLOAT: case TC_BIG_INT: case TC_STR: case TC_BYTES: node->words = 1; break;
    case TC_LIST: case TC_TUPLE: case TC_DICT: node->children = tc_count_(w); break;
    case TC_ARRAY: case TC_TENSOR: node->ndim = tc_byte_(w); /* fall through */
    case TC_SCALAR: {
        uint64_t itemsize = tc_number_(w);
        if (itemsize >= (uint64_t)1 << 31) w->bad = 1;
        node->itemsize = (uint32_t)itemsize;
        node->dtype = tc_take_(w, &node->dtype_len);
        if (!tc_is_utf8_(node->dtype, node->dtype_len)) w->bad = 1;
        node->words = node->kind == TC_SCALAR ? (node->itemsize + 7) / 8 : node->ndim;
        break;
    }
    default: w->bad = 1;
    }
}

static inline int tc_has_blob_(unsigned kind) {
    return kind == TC_BIG_INT || kind == TC_STR || kind == TC_BYTES || kind == TC_ARRAY || kind == TC_TENSOR;
}

/* A key of a dictionary: an int of 64 bits is given as one, however long it is written. */
typedef struct tc_name_ {
    int is_int; /* 0 a name, 1 an int, 2 a larger one */
    int64_t number;
    const unsigned char *text;
    size_t len;
} tc_name_;

static inline void tc_name_at_(tc_walk_ *w, tc_name_ *name) {
    name->is_int = (int)tc_byte_(w);
    name->number = 0;
    name->text = NULL;
    name->len = 0;
    if (name->is_int == 1) {
        uint64_t zigzag = tc_number_(w);
        name->number = (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
        return;
    }
    if (name->is_int != 0 && name->is_int != 2) {
        w->bad = 1;
        return;
    }
    name->text = tc_take_(w, &name->len);
    if (name->is_int == 0) {
        if (!tc_is_utf8_(name->text, name->len)) w->bad = 1;
        return;
    }
    while (name->len > 1 && name->text[name->len - 1] == (name->text[name->len - 2] < 0x80 ? 0 : 0xff)) name->len--;
    if (name->len <= 8) {
        uint64_t bits = name->len > 0 && name->text[name->len - 1] >= 0x80 ? ~(uint64_t)0 : 0;
        memcpy(&bits, name->text, name->len);
        memcpy(&name->number, &bits, 8);
        name->is_int = 1;
    }
}

/* Checks a shape, and notes its leaves that have blobs. */
static inline int tc_parse_(tc_reader *r, tc_structure_ *s) {
    size_t left[TC_MAX_DEPTH + 1];
    int dict[TC_MAX_DEPTH + 1];
    size_t depth = 0, values = 0;
    tc_walk_ w = {(const unsigned char *)s->bytes, (const unsigned char *)s->bytes + s->len, 0};
    tc_name_ name;
    tc_node_ node;
    s->blobs_len = 0;
    if (s->len == 0 || *w.at != TC_DICT) return tc_fail_(r, -EBADMSG, "a snapshot is damaged: it is no dictionary");
    for (;;) {
        tc_node_at_(&w, &node);
        if (w.bad || values > UINT32_MAX) break;
        if (tc_has_blob_(node.kind)) {
            if (s->blobs_len == s->blobs_cap) {
                size_t cap = s->blobs_cap < 8 ? 8 : 2 * s->blobs_cap;
                void *more = cap > SIZE_MAX / sizeof *s->blobs ? NULL : realloc(s->blobs, cap * sizeof *s->blobs);
                if (more == NULL) return tc_fail_(r, -ENOMEM, "no memory for a snapshot");
                s->blobs = (tc_blob_ *)more;
                s->blobs_cap = cap;
            }
            tc_blob_ *blob = &s->blobs[s->blobs_len++];
            blob->value_at = (uint32_t)values;
            blob->kind = node.kind;
            blob->ndim = node.ndim;
            blob->itemsize = node.itemsize;
        }
        values += node.words;
        if (node.kind == TC_LIST || node.kind == TC_TUPLE || node.kind == TC_DICT) {
            if (depth == TC_MAX_DEPTH) break;
            left[depth] = node.children;
            dict[depth++] = node.kind == TC_DICT;
        }
        while (depth > 0 && left[depth - 1] == 0) depth--;
        if (depth == 0) {
            if (w.at != w.end || values > UINT32_MAX) break;
            s->values_len = values;
            return 0;
        }
        left[depth - 1]--;
        if (dict[depth - 1]) tc_name_at_(&w, &name);
    }
    return tc_fail_(r, -EBADMSG, "a snapshot is damaged: its structure makes no sense");
}

/* Finds where each leaf has its bytes. */
static inline int tc_place_(tc_reader *r, const tc_structure_ *s, tc_copy_ *c) {
    if (s->blobs_len > 0) {
        void *places = c->places;
        int error = tc_room_(&places, &c->places_cap, s->blobs_len, sizeof *c->places);
        c->places = (tc_span_ *)places;
        if (error) return tc_fail_(r, error, "no memory for a snapshot");
    }
    uint64_t next = 0, limit = (uint64_t)c->blobs_len * 8; /* bytes; at most what the file has, so nothing overflows below */
    for (size_t i = 0; i < s->blobs_len; i++) {
        const tc_blob_ *blob = &s->blobs[i];
        uint64_t at = next, len = c->values[blob->value_at];
        if (blob->kind == TC_ARRAY || blob->kind == TC_TENSOR) {
            at = (next + 63) / 64 * 64;
            len = blob->itemsize;
            int empty = 0;
            for (uint32_t axis = 0; axis < blob->ndim; axis++) empty |= c->values[blob->value_at + axis] == 0;
            for (uint32_t axis = 0; axis < blob->ndim && !empty; axis++)
                if (__builtin_mul_overflow(len, c->values[blob->value_at + axis], &len)) len = UINT64_MAX;
            if (empty) len = 0;
        }
        if (at > limit || len > limit - at) return tc_fail_(r, -EBADMSG, "a snapshot is damaged: a value is longer than it");
        c->places[i].at = (size_t)at;
        c->places[i].len = (size_t)len;
        next = (at + len + 7) / 8 * 8;
    }
    return 0;
}

/* --- taking a snapshot */

typedef struct tc_meta_ {
    uint64_t words[TC_SLOT_PAYLOAD];
} tc_meta_;

/* Copies a slot into what is not in hand. Its words may be of several snapshots: nothing is believed, and it counts only once
 * the slot was found unchanged. */
static inline int tc_fill_(tc_reader *r, const tc_file_ *file, const uint64_t *slot, uint64_t position, tc_meta_ *meta) {
    tc_load_(meta->words, slot, TC_SLOT_PAYLOAD);
    const uint64_t *m = meta->words;
    uint64_t room = file->stride - TC_SLOT_PAYLOAD;
    uint64_t shape_len = m[TC_SLOT_SHAPE_LEN], values = m[TC_SLOT_VALUES_LEN], blobs = m[TC_SLOT_BLOB_WORDS];
    if (shape_len > room * 8 || values > room || blobs > room || (shape_len + 7) / 8 + values + blobs > room ||
        m[TC_SLOT_POSITION] != position || m[TC_SLOT_TAKEOVER] == 0 || m[TC_SLOT_SHAPE_ID] == 0 || m[TC_SLOT_VERSION] == 0 ||
        shape_len > UINT32_MAX)
        return tc_fail_(r, -EBADMSG, "a snapshot is damaged: its numbers make no sense");
    const uint64_t *from = slot + TC_SLOT_PAYLOAD;
    size_t shape_words = (size_t)(shape_len + 7) / 8;
    const tc_structure_ *old = &r->structures_[r->structure_];
    if (old->file != file->number || old->takeover != m[TC_SLOT_TAKEOVER] || old->id != m[TC_SLOT_SHAPE_ID] || old->len != shape_len) {
        tc_structure_ *s = &r->structures_[!r->structure_];
        void *bytes = s->bytes;
        int error = tc_room_(&bytes, &s->bytes_cap, shape_words, 8);
        s->bytes = (uint64_t *)bytes;
        if (error) return tc_fail_(r, error, "no memory for a snapshot");
        s->file = 0; /* until it was found good */
        s->len = (size_t)shape_len;
        tc_load_(s->bytes, from, shape_words);
    }
    tc_copy_ *c = &r->copies_[!r->copy_];
    void *memory = c->values;
    int error = tc_room_(&memory, &c->values_cap, (size_t)values, 8);
    c->values = (uint64_t *)memory;
    if (error == 0) error = tc_room_(&c->blobs, &c->blobs_cap, (size_t)blobs, 8);
    if (error) return tc_fail_(r, error, "no memory for a snapshot");
    tc_load_(c->values, from + shape_words, (size_t)values);
    tc_load_(c->blobs, from + shape_words + values, (size_t)blobs);
    c->blobs_len = (size_t)blobs;
    return 0;
}

/* Takes in hand what was copied whole. 1: it is another snapshot than before; 0: it is the same, from another file. */
static inline int tc_accept_(tc_reader *r, const tc_file_ *file, const tc_meta_ *meta) {
    const uint64_t *m = meta->words;
    int known = r->structure_;
    const tc_structure_ *old = &r->structures_[known];
    int error = 0;
    if (old->file != file->number || old->takeover != m[TC_SLOT_TAKEOVER] || old->id != m[TC_SLOT_SHAPE_ID] ||
        old->len != m[TC_SLOT_SHAPE_LEN]) {
        known = !known;
        error = tc_parse_(r, &r->structures_[known]);
    }
    tc_structure_ *s = &r->structures_[known];
    tc_copy_ *c = &r->copies_[!r->copy_];
    if (error == 0 && s->values_len != m[TC_SLOT_VALUES_LEN])
        error = tc_fail_(r, -EBADMSG, "a snapshot is damaged: it has too few values, or too many");
    if (error == 0) error = tc_place_(r, s, c);
    if (error) return error;
    int same = r->version == m[TC_SLOT_VERSION] && r->epoch == m[TC_SLOT_EPOCH] && r->term == m[TC_SLOT_TERM];
    if (known != r->structure_) {
        s->file = file->number;
        s->takeover = m[TC_SLOT_TAKEOVER];
        s->id = m[TC_SLOT_SHAPE_ID];
        r->structure_ = known;
        r->serial_ = ++r->serials_;
    }
    r->copy_ = !r->copy_;
    r->values_ = c->values;
    r->position_ = m[TC_SLOT_POSITION];
    r->version = m[TC_SLOT_VERSION];
    r->epoch = m[TC_SLOT_EPOCH];
    r->term = m[TC_SLOT_TERM];
    r->published_ns = m[TC_SLOT_PUBLISHED];
    r->published_unix_ns = m[TC_SLOT_PUBLISHED_UNIX];
    return !same;
}

static inline int tc_copy_newest_(tc_reader *r, const tc_file_ *file) {
    const uint64_t *head_word = &file->words[TC_HEADER_HEAD];
    uint64_t head = tc_acquire_(head_word); /* R1 */
    for (int laps = 0; laps < TC_MAX_LAPS; laps++) {
        uint64_t position = head >> 2, complete = 2 * position + 2;
        const uint64_t *slot = file->words + TC_HEADER_WORDS + (size_t)(position % TC_SLOTS) * file->stride;
        if (tc_relaxed_(&slot[TC_SLOT_SEQ]) == complete) { /* spares the copy of a slot that is being rewritten */
            tc_meta_ meta;
            int error = tc_fill_(r, file, slot, position, &meta); /* R2 */
            __atomic_thread_fence(__ATOMIC_ACQUIRE);              /* R3, partner of the fence W2: case B */
            if (tc_relaxed_(&slot[TC_SLOT_SEQ]) == complete)      /* R4 */
                return error ? error : tc_accept_(r, file, &meta);
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* partner of the odd seq's Release: case C */
        uint64_t newer = tc_acquire_(head_word);
        if (newer >> 2 <= position) break;
        head = newer;
    }
    return tc_fail_(r, -EBADMSG, "the ring of the channel's file is damaged");
}

static inline int tc_look_(tc_reader *r, int refresh) {
    r->look_in_ = TC_LOOK_EVERY;
    uint64_t head = r->head_ == NULL ? 0 : tc_acquire_(r->head_);
    if (r->head_ == NULL || (head & 3) != 0 || refresh) {
        tc_file_ next;
        int found = tc_find_(r, &next);
        if (found == 0) {
            int taken = tc_copy_newest_(r, &next);
            if (taken < 0) {
                munmap((void *)(uintptr_t)next.words, next.bytes);
                if (r->head_ == NULL) return taken;
            } else {
                if (r->file_.words != NULL) munmap((void *)(uintptr_t)r->file_.words, r->file_.bytes);
                r->file_ = next;
                r->head_ = &next.words[TC_HEADER_HEAD];
                r->seen_ = r->position_ << 2;
                r->closed = 0;
                return taken;
            }
        } else if (r->head_ == NULL) {
            return found;
        }
        r->closed = (head & 3) == TC_CLOSED || ((head & 3) != 0 && found == -ENOENT) ||
                    tc_relaxed_(&r->file_.words[TC_HEADER_LINK]) == TC_LINK_LEARNER_CLOSED;
    }
    if (head >> 2 == r->position_) {
        r->seen_ = (head & 3) != 0 ? UINT64_MAX : head; /* of a file that has ended, the name is looked at each time */
        return 0;
    }
    int taken = tc_copy_newest_(r, &r->file_);
    if (taken >= 0) r->seen_ = r->position_ << 2;
    return taken;
}

static inline int tc_poll(tc_reader *r) {
    if (__builtin_expect(r->head_ != NULL, 1)) {
        if (__builtin_expect(tc_acquire_(r->head_) == r->seen_, 1)) {
            if (__builtin_expect(--r->look_in_ != 0, 1)) return 0;
            return tc_look_(r, 1);
        }
    } else if (r->name_[0] == '\0') {
        return tc_fail_(r, -EBADF, "the reader is closed, or was never opened");
    }
    return tc_look_(r, 0);
}

static inline int tc_refresh(tc_reader *r) {
    if (r->name_[0] == '\0') return tc_fail_(r, -EBADF, "the reader is closed, or was never opened");
    return tc_look_(r, 1);
}

static inline int tc_open_at(tc_reader *r, const char *directory, const char *name, uint16_t policy_id, size_t sizeof_reader) {
    if (sizeof_reader != sizeof *r) return -EINVAL; /* nothing is written: the caller's reader may be smaller */
    memset(r, 0, sizeof *r);
    if (name == NULL) name = getenv("TRAINCAST_NAME");
    size_t len = name == NULL ? 0 : strlen(name);
    if (len == 0) return tc_fail_(r, -EINVAL, "the channel has no name: pass one, or set TRAINCAST_NAME");
    int legal = len <= TC_NAME_BYTES && name[0] != '.';
    for (size_t i = 0; i < len && legal; i++) {
        char c = name[i];
        legal = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    }
    if (!legal) return tc_fail_(r, -EINVAL, "a channel name has 1 to 128 of A-Z a-z 0-9 . _ - and does not start with a dot");
    if (directory == NULL || directory[0] == '\0') directory = getenv("TRAINCAST_DIR");
    size_t path = directory == NULL ? 0 : strlen(directory);
    while (path > 1 && directory[path - 1] == '/') path--; /* a link is a link with a slash behind it, too */
    if (path >= sizeof r->directory_) return tc_fail_(r, -ENAMETOOLONG, "the path of the directory is too long");
    if (path > 0) memcpy(r->directory_, directory, path);
    memcpy(r->name_, name, len);
    r->policy_id_ = policy_id;
    for (int i = 0; i < 2; i++) { /* what small snapshots need is there from the start */
        void *values = NULL, *bytes = NULL;
        int error = tc_room_(&values, &r->copies_[i].values_cap, 512, 8);
        if (error == 0) error = tc_room_(&bytes, &r->structures_[i].bytes_cap, 512, 8);
        if (error == 0) error = tc_room_(&r->copies_[i].blobs, &r->copies_[i].blobs_cap, 512, 8);
        r->copies_[i].values = (uint64_t *)values;
        r->structures_[i].bytes = (uint64_t *)bytes;
        if (error) {
            tc_close(r);
            return tc_fail_(r, error, "no memory for a reader");
        }
    }
    int found = tc_look_(r, 1);
    if (found >= 0 || found == -ENOENT) return found < 0 ? found : 0;
    const char *why = r->error_;
    tc_close(r);
    return tc_fail_(r, found, why);
}

static inline int tc_open(tc_reader *r, const char *name, uint16_t policy_id, size_t sizeof_reader) {
    return tc_open_at(r, NULL, name, policy_id, sizeof_reader);
}

static inline void tc_close(tc_reader *r) {
    if (r->file_.words != NULL) munmap((void *)(uintptr_t)r->file_.words, r->file_.bytes);
    for (int i = 0; i < 2; i++) {
        free(r->structures_[i].bytes);
        free(r->structures_[i].blobs);
        free(r->copies_[i].values);
        free(r->copies_[i].blobs);
        free(r->copies_[i].places);
    }
    memset(r, 0, sizeof *r);
    r->error_ = "the reader is closed";
}

static inline const char *tc_error(const tc_reader *r) { return r->error_ == NULL ? "no error" : r->error_; }

/* --- keys */

static inline int tc_add_part_(tc_key *key, const char *name, size_t len, int64_t number) {
    size_t needed = name == NULL ? 9 : 3 + len;
    if (needed > TC_PATH_BYTES - (size_t)key->path_len) return -ENAMETOOLONG;
    unsigned char *to = key->path + key->path_len;
    to[0] = name == NULL;
    if (name == NULL) {
        memcpy(to + 1, &number, 8);
    } else {
        to[1] = (unsigned char)(len & 0xff);
        to[2] = (unsigned char)(len >> 8);
        memcpy(to + 3, name, len);
    }
    key->path_len = (uint16_t)(key->path_len + needed);
    return 0;
}

static inline void tc_skip_(tc_walk_ *w, size_t *values, size_t *blobs) {
    size_t left[TC_MAX_DEPTH + 1];
    int dict[TC_MAX_DEPTH + 1];
    size_t depth = 0;
    tc_name_ name;
    tc_node_ node;
    for (;;) { /* the shape was found good: depth and lengths fit */
        tc_node_at_(w, &node);
        *values += node.words;
        *blobs += (size_t)tc_has_blob_(node.kind);
        if (node.kind == TC_LIST || node.kind == TC_TUPLE || node.kind == TC_DICT) {
            left[depth] = node.children;
            dict[depth++] = node.kind == TC_DICT;
        }
        while (depth > 0 && left[depth - 1] == 0) depth--;
        if (depth == 0 || w->bad) return;
        left[depth - 1]--;
        if (dict[depth - 1]) tc_name_at_(w, &name);
    }
}

/* The index that a name stands for; 0 if none: written as an int is. */
static inline int tc_index_(const unsigned char *text, size_t len, int64_t *index) {
    size_t i = len > 0 && text[0] == '-';
    int64_t value = 0;
    if (i == len || len > 20 || (text[i] == '0' && (len > 1))) return 0;
    for (; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, text[i] - '0', &value))
            return 0;
    }
    if (text[0] != '-' && __builtin_sub_overflow((int64_t)0, value, &value)) return 0;
    *index = value;
    return 1;
}

/* Follows the path through the shape. */
static inline void tc_resolve_(tc_reader *r, tc_key *key) {
    const tc_structure_ *s = &r->structures_[r->structure_];
    const unsigned char *part = key->path, *end = key->path + key->path_len;
    tc_walk_ w = {(const unsigned char *)s->bytes, (const unsigned char *)s->bytes + s->len, 0};
    size_t values = 0, blobs = 0;
    tc_node_ node;
    key->kind = TC_MISSING;
    key->serial = r->serial_;
    if (r->serial_ == 0 || key->path_len == 0) return;
    for (;;) {
        const unsigned char *here = w.at;
        tc_node_at_(&w, &node);
        if (part == end) {
            key->kind = node.kind;
            key->value_at = (uint32_t)values;
            key->blob = (uint32_t)blobs;
            key->itemsize = node.itemsize;
            key->ndim = node.ndim;
            key->dtype_at = node.dtype == NULL ? 0 : (uint32_t)(node.dtype - (const unsigned char *)s->bytes);
            key->dtype_len = (uint32_t)node.dtype_len;
            (void)here;
            return;
        }
        int is_int = part[0];
        int64_t number = 0;
        size_t len = 0;
        const unsigned char *text = part + 3;
        if (is_int) {
            memcpy(&number, part + 1, 8);
            part += 9;
        } else {
            len = (size_t)part[1] | (size_t)part[2] << 8;
            part += 3 + len;
        }
        size_t child = 0;
        if (node.kind == TC_DICT) {
            tc_walk_ found_w = w;
            size_t found_values = 0, found_blobs = 0, found = 0;
            for (; child < node.children; child++) {
                tc_name_ name;
                tc_name_at_(&w, &name);
                int same = is_int ? name.is_int == 1 && name.number == number
                                  : name.is_int == 0 && name.len == len && memcmp(name.text, text, len) == 0;
                if (same) {
                    found++;
                    found_w = w;
                    found_values = values;
                    found_blobs = blobs;
                }
                tc_skip_(&w, &values, &blobs);
            }
            if (found != 1) return; /* one that stands there twice is damage, and says nothing */
            w = found_w;
            values = found_values;
            blobs = found_blobs;
        } else if (node.kind == TC_LIST || node.kind == TC_TUPLE) {
            if (!is_int && !tc_index_(text, len, &number)) return;
            if (number < 0) number += (int64_t)node.children;
            if (number < 0 || (uint64_t)number >= node.children) return;
            for (; child < (size_t)number; child++) tc_skip_(&w, &values, &blobs);
        } else {
            return;
        }
    }
}

static inline int tc_key_parts(tc_reader *r, const tc_part *parts, size_t count, tc_key *key) {
    int error = count == 0 ? -EINVAL : 0;
    memset(key, 0, sizeof *key);
    key->kind = TC_MISSING;
    for (size_t i = 0; i < count && error == 0; i++)
        error = tc_add_part_(key, parts[i].name, parts[i].name == NULL ? 0 : strlen(parts[i].name), parts[i].number);
    key->error = error;
    if (error) key->path_len = 0;
    if (error) return tc_fail_(r, error, error == -EINVAL ? "a path needs at least one key" : "the path is too long");
    tc_resolve_(r, key);
    return 0;
}

static inline int tc_key_at_(tc_reader *r, const char *path, tc_key *key) {
    int error = 0;
    memset(key, 0, sizeof *key);
    key->kind = TC_MISSING;
    for (const char *at = path == NULL ? "" : path; error == 0;) {
        size_t len = strcspn(at, ".");
        error = len == 0 ? -EINVAL : tc_add_part_(key, at, len, 0);
        at += len;
        if (*at++ == '\0') break;
    }
    key->error = error;
    if (error) key->path_len = 0;
    if (error) return tc_fail_(r, error, error == -EINVAL ? "a path has a name on both sides of each dot" : "the path is too long");
    tc_resolve_(r, key);
    return 0;
}

/* --- values */

static inline int tc_give_up_(tc_key *key) {
    key->error = key->kind == TC_MISSING ? -ENOENT : key->kind == TC_BIG_INT ? -EOVERFLOW : -EINVAL;
    return key->error;
}

/* A scalar of numpy: 0 as a double, 1 as an int, else an error. */
static inline int tc_scalar_(const tc_reader *r, const tc_key *key, double *number, int64_t *whole) {
    const char *dtype = (const char *)r->structures_[r->structure_].bytes + key->dtype_at;
    uint64_t word = key->itemsize == 0 ? 0 : r->values_[key->value_at];
    if (key->dtype_len != 3 || key->itemsize > 8 || dtype[2] != (char)('0' + key->itemsize)) return -EINVAL;
    if (dtype[1] == 'f' && key->itemsize == 8) {
        memcpy(number, &word, 8);
        return 0;
    }
    if (dtype[1] == 'f' && key->itemsize == 4) {
        float narrow;
        memcpy(&narrow, &word, 4);
        *number = (double)narrow;
        return 0;
    }
    if (dtype[1] == 'b' && key->itemsize == 1) {
        *whole = (word & 0xff) != 0;
        return 1;
    }
    if (key->itemsize != 1 && key->itemsize != 2 && key->itemsize != 4 && key->itemsize != 8) return -EINVAL;
    unsigned unused = 64 - 8 * key->itemsize;
    if (dtype[1] == 'u') {
        word = word << unused >> unused;
        if (word > INT64_MAX) return -EOVERFLOW;
        *whole = (int64_t)word;
        return 1;
    }
    if (dtype[1] != 'i') return -EINVAL;
    word <<= unused;
    memcpy(whole, &word, 8);
    *whole >>= unused; /* gcc and clang keep the sign */
    return 1;
}

/* The number at a key: 0 as a double, 1 as an int, else an error. */
static inline int tc_number_at_(tc_reader *r, tc_key *key, double *number, int64_t *whole) {
    if (key->kind == TC_INT || key->kind == TC_BOOL) {
        memcpy(whole, &r->values_[key->value_at], 8);
        return 1;
    }
    if (key->kind == TC_FLOAT) {
        memcpy(number, &r->values_[key->value_at], 8);
        return 0;
    }
    return key->kind == TC_SCALAR ? tc_scalar_(r, key, number, whole) : tc_give_up_(key);
}

static inline double tc_f64(tc_reader *r, tc_key *key, double fallback) {
    double number = 0;
    int64_t whole = 0;
    if (__builtin_expect(key->serial != r->serial_, 0)) tc_resolve_(r, key);
    key->error = 0;
    if (__builtin_expect(key->kind == TC_FLOAT, 1)) {
        memcpy(&number, &r->values_[key->value_at], 8);
        return number;
    }
    int kind = tc_number_at_(r, key, &number, &whole);
    if (kind < 0) {
        key->error = kind;
        return fallback;
    }
    return kind == 0 ? number : (double)whole;
}

static inline int64_t tc_i64(tc_reader *r, tc_key *key, int64_t fallback) {
    double number = 0;
    int64_t whole = 0;
    if (__builtin_expect(key->serial != r->serial_, 0)) tc_resolve_(r, key);
    key->error = 0;
    int kind = tc_number_at_(r, key, &number, &whole);
    if (kind == 1) return whole;
    if (kind == 0 && number >= -9223372036854775808.0 && number < 9223372036854775808.0 && (double)(int64_t)number == number)
        return (int64_t)number;
    key->error = kind < 0 ? kind : -EINVAL;
    return fallback;
}

static inline int tc_bool(tc_reader *r, tc_key *key, int fallback) {
    double number = 0;
    int64_t whole = 0;
    if (__builtin_expect(key->serial != r->serial_, 0)) tc_resolve_(r, key);
    key->error = 0;
    int kind = tc_number_at_(r, key, &number, &whole);
    if (kind == 1) return whole != 0;
    key->error = kind < 0 ? kind : -EINVAL;
    return fallback;
}

static inline const unsigned char *tc_blob_at_(const tc_reader *r, const tc_key *key, size_t *len) {
    const tc_copy_ *c = &r->copies_[r->copy_];
    *len = c->places[key->blob].len;
    return (const unsigned char *)c->blobs + c->places[key->blob].at;
}

static inline const char *tc_str(tc_reader *r, tc_key *key, const char *fallback, size_t *len) {
    size_t found = 0;
    if (key->serial != r->serial_) tc_resolve_(r, key);
    key->error = 0;
    if (key->kind == TC_STR) {
        const unsigned char *text = tc_blob_at_(r, key, &found);
        if (tc_is_utf8_(text, found)) {
            *len = found;
            return (const char *)text;
        }
        key->error = -EBADMSG;
    } else {
        tc_give_up_(key);
    }
    *len = fallback == NULL ? 0 : strlen(fallback);
    return fallback;
}

/* *len is the fallback's when you call it, and the value's afterwards. */
static inline const void *tc_bytes(tc_reader *r, tc_key *key, const void *fallback, size_t *len) {
    if (key->serial != r->serial_) tc_resolve_(r, key);
    key->error = 0;
    if (key->kind == TC_BYTES) return tc_blob_at_(r, key, len);
    tc_give_up_(key);
    return fallback;
}

static inline int tc_view(tc_reader *r, tc_key *key, tc_array *array) {
    if (key->serial != r->serial_) tc_resolve_(r, key);
    key->error = 0;
    if (key->kind != TC_ARRAY && key->kind != TC_TENSOR) return tc_give_up_(key);
    size_t len = 0;
    array->data = tc_blob_at_(r, key, &len);
    array->shape = r->values_ + key->value_at;
    array->ndim = key->ndim;
    array->count = 1;
    for (size_t axis = 0; axis < array->ndim; axis++) {
        if (array->shape[axis] == 0) {
            array->count = 0;
            break;
        }
    }
    for (size_t axis = 0; axis < array->ndim && array->count != 0; axis++)
        if (__builtin_mul_overflow(array->count, (size_t)array->shape[axis], &array->count)) array->count = 0; /* of no bytes each */
    array->itemsize = key->itemsize;
    array->dtype = (const char *)r->structures_[r->structure_].bytes + key->dtype_at;
    array->dtype_len = key->dtype_len;
    return 0;
}

static inline const char *tc_why(const tc_key *key) {
    switch (key->error) {
    case 0: return "no error";
    case -ENOENT: return "there is no such key, or no snapshot yet";
    case -EOVERFLOW: return "the int does not fit into 64 bits";
    case -EBADMSG: return "the string is damaged";
    case -ENAMETOOLONG: return "the path is too long";
    default: return "the value is of another kind, or the path is none";
    }
}

#ifdef __cplusplus
}
#endif
#endif
