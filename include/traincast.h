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
 *         tc_poll(&reader);                             // takes the newest snapshot
 *         double bonus = tc_f64(&reader, &goal, 1.0);   // 1.0 while there is no such key
 *     }
 *
 * A reader never writes to shared memory and never makes the learner wait. All values belong to one snapshot: only tc_poll
 * and tc_refresh take another one. Nothing is allocated after tc_open, unless a snapshot is larger than all before it. The
 * reader copes with a learner that starts later, restarts, closes, or moves to a larger file. No threads, no globals.
 *
 * Use one reader, with its keys, per thread. After fork() the child may go on with its copy of them. `traincast ls` does not
 * show these readers.
 *
 * Functions that can fail return a negative errno, tc_error() says it in words, and the snapshot in hand stays. Everything in
 * a file is checked before it is used. One thing cannot be checked: if somebody truncates a mapped file, the next access kills
 * the process with SIGBUS, as in every program that maps files. traincast never truncates a file, and only you can open the
 * files. docs/layout.md of traincast describes them; docs/native.md is the guide.
 *
 * With -std=c11, include this header before others, or compile with -D_DEFAULT_SOURCE.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TRAINCAST_H
#define TRAINCAST_H

#if defined(__STRICT_ANSI__) && !defined(_POSIX_C_SOURCE) && !defined(_DEFAULT_SOURCE) && !defined(_GNU_SOURCE)
#define _DEFAULT_SOURCE 1 /* -std=c11 hides the POSIX functions */
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
#include <time.h>
#include <unistd.h>

#if !defined(__linux__) || !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || UINTPTR_MAX != UINT64_MAX
#error "traincast needs 64-bit little-endian Linux"
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
#define TC_SUPERSEDED 2
#define TC_MARKS 3
#define TC_LINK_LEARNER_CLOSED 2
#define TC_REMOTE_FILE_SYSTEMS \
    {0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x5346414f, 0x6b414653, 0x73757245, 0x564c, \
     0x1021997, 0xc36400, 0xbd00bd0, 0x47504653, 0x1161970, 0x7461636f, 0x19800202, 0x65735546}
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
    TC_PATH_BYTES = 232,    /* room for a path: 3 bytes more than its length for each name, 9 for each int */
    TC_LOOK_EVERY = 256,    /* polls without news between two looks at the clock */
    TC_IDLE_NS = 1000000000, /* after this time without news, the file's name is checked: it may have been removed */
    TC_ENDED_NS = 10000000, /* interval of the search for a file that has ended or does not exist yet */
    TC_MAX_MOVES = 64,      /* files that one call follows */
    TC_MAX_LAPS = 4096      /* times that the writer may lap the reader during one call */
};

/* The kind of a value. The numbers are those in the file. */
enum tc_kind {
    TC_NONE = 0,
    TC_BOOL = 1,
    TC_INT = 2,
    TC_FLOAT = 3,
    TC_BIG_INT = 4, /* beyond 64 bits: no getter returns it */
    TC_STR = 5,
    TC_BYTES = 6,
    TC_LIST = 7,
    TC_TUPLE = 8,
    TC_DICT = 9,
    TC_SCALAR = 10, /* a numpy scalar */
    TC_ARRAY = 11,
    TC_TENSOR = 12,
    TC_MISSING = 255 /* there is no such key, or no snapshot yet */
};

/* Where a value is: found once, and again when the structure of the snapshots changes. */
typedef struct tc_key {
    uint64_t serial;   /* of the structure for which the rest is valid */
    int error;         /* of the last getter: 0, or a negative errno */
    uint32_t kind;     /* enum tc_kind */
    uint32_t value_at; /* index of its word among the values */
    uint32_t blob;     /* index of its blob */
    uint32_t itemsize;
    uint32_t ndim;
    uint32_t dtype_at, dtype_len; /* in the bytes of the shape */
    uint16_t path_len;
    unsigned char path[TC_PATH_BYTES];
} tc_key;

/* One key of a path: a name or an int. An int is a dictionary's key or an index, which counts from the end if negative. */
typedef struct tc_part {
    const char *name; /* NULL: the key is the number */
    int64_t number;
} tc_part;

/* An array in C order, valid until the next tc_poll. */
typedef struct tc_array {
    const void *data;      /* aligned to 64 bytes; a scalar's to 8 */
    const uint64_t *shape; /* ndim numbers */
    size_t ndim;
    size_t count; /* elements */
    size_t itemsize;
    const char *dtype; /* numpy's dtype.str such as "<f8", or a name such as "bfloat16"; dtype_len bytes, not terminated */
    size_t dtype_len;
} tc_array;

/* From here to tc_reader: the parts of a reader. Not for use. */

typedef uint64_t __attribute__((may_alias)) tc_word_; /* for memory that the caller reads as other types */

typedef struct tc_span_ {
    size_t at, len; /* bytes */
} tc_span_;

typedef struct tc_blob_ { /* a leaf that has bytes */
    uint32_t value_at, kind, ndim, itemsize;
} tc_blob_;

typedef struct tc_entry_ { /* of a dictionary: only to find keys that occur twice */
    uint64_t hash;
    uint32_t dict; /* number of the dictionary */
    uint32_t at;   /* offset of its key in the bytes of the shape */
} tc_entry_;

typedef struct tc_structure_ { /* a parsed shape */
    uint64_t file, takeover, id; /* identify it; file 0: none */
    size_t len;                  /* bytes of the shape */
    uint64_t *bytes;
    size_t bytes_cap; /* in words */
    size_t values_len;
    tc_blob_ *blobs;
    size_t blobs_len, blobs_cap;
} tc_structure_;

typedef struct tc_copy_ { /* the values and blobs of a snapshot */
    uint64_t *values;
    size_t values_cap;
    void *blobs;
    size_t blobs_cap, blobs_len; /* in words */
    tc_span_ *places;
    size_t places_cap;
} tc_copy_;

typedef struct tc_file_ {
    const uint64_t *words; /* NULL: none */
    size_t bytes;
    size_t stride; /* words from slot to slot */
    dev_t device;
    ino_t inode;
    uint64_t number; /* different for each file of a reader */
    unsigned place;  /* index of the directory that it is in */
} tc_file_;

/* A reader of one channel. You may read the members without an underscore at the end; leave the others alone. */
typedef struct tc_reader {
    const uint64_t *head_; /* of the file at hand; NULL: no file */
    uint64_t seen_;        /* the head while there is nothing new */
    const uint64_t *values_;
    uint64_t serial_; /* of the structure in hand; 0: no snapshot */
    uint32_t look_in_; /* polls until the next look at the clock */

    uint64_t version; /* of the snapshot in hand; 0 before the first */
    uint64_t epoch;
    uint64_t term;
    uint64_t published_ns;      /* CLOCK_MONOTONIC of this machine */
    uint64_t published_unix_ns; /* at the learner */

    int structure_, copy_; /* index of the one in hand; the other one is for the next snapshot */
    uint64_t position_, serials_, files_;
    uint64_t looked_ns_, looked_head_; /* when the name was last looked up, and the head at that time */
    int fault_;                        /* the error of that look-up, or 0 */
    int nameless_;                     /* whether no file had the name */
    tc_file_ file_;
    tc_structure_ structures_[2];
    tc_copy_ copies_[2];
    tc_entry_ *entries_;
    size_t entries_cap_;
    const char *error_;
    unsigned long user_; /* user id in the name of the default directory */
    uint16_t policy_id_;
    char name_[TC_NAME_BYTES + 1];
    char directory_[PATH_MAX]; /* empty: the two default directories */
} tc_reader;

/* --- interface ------------------------------------------------------------------------------------------------------------ */

/* Opens a channel by its name (NULL: $TRAINCAST_NAME) in the directory that Python code would use: $TRAINCAST_DIR, or the
 * user's own in /dev/shm or /tmp. Takes its newest snapshot. The reader must be new or closed. Returns 0, or
 * -ENOENT: there is no such channel yet. The reader is usable: tc_poll looks again.
 * Any other error leaves the reader closed. -EINVAL: not a valid channel name, or sizeof_reader is that of another version of
 * this header (then nothing is written). -EACCES: the directory belongs to somebody else or is open to others. -EPROTO,
 * -EBADMSG, -ENOMEM: as tc_poll. Or an error of the system, such as -EMFILE. */
static inline int tc_open(tc_reader *reader, const char *name, uint16_t policy_id, size_t sizeof_reader);

/* The same, in a directory of your choice. */
static inline int tc_open_at(tc_reader *reader, const char *directory, const char *name, uint16_t policy_id, size_t sizeof_reader);

/* Takes the newest snapshot. 1: another one than before; 0: the same; -ENOENT: no channel has been found so far; -EPROTO: the
 * file has another layout; -EBADMSG: it is damaged; -ENOMEM; or as tc_open.
 * If nothing is new, this is one load and a comparison. A file that has ended or does not exist yet is looked up every 10 ms.
 * After a second and TC_LOOK_EVERY polls without news, the name is looked up too: somebody may have removed the file. */
static inline int tc_poll(tc_reader *reader);

/* As tc_poll, but looks up the channel's name at once. Makes some system calls. */
static inline int tc_refresh(tc_reader *reader);

/* Whether the learner has closed the channel, and nobody had opened it again when tc_poll last looked up the name. */
static inline int tc_closed(const tc_reader *reader);

/* Prepares a key. Dots lead into dictionaries, and to items of lists and tuples: "reward_shaping.goal", "levels.0". The path is
 * copied. Returns 0, even if there is no such key yet; -EINVAL: not a path; -ENAMETOOLONG: beyond TC_PATH_BYTES. */
#define tc_key(...) tc_key_at_(__VA_ARGS__) /* a macro, because the type has the same name */
static inline int tc_key_at_(tc_reader *reader, const char *path, tc_key *key);

/* The same for names with dots in them, and for ints as keys. */
static inline int tc_key_parts(tc_reader *reader, const tc_part *parts, size_t count, tc_key *key);

/* The value in the snapshot in hand, or the fallback. A numpy scalar counts as a number. key->error is then 0, or -ENOENT: no
 * such key, or no snapshot; -EOVERFLOW: an int beyond 64 bits (Python has no limit); -EINVAL: a value of another kind, such as
 * a float that is not a whole number where an int was asked for; -EBADMSG: damage. tc_why() says it in words. */
static inline double tc_f64(tc_reader *reader, tc_key *key, double fallback);
static inline int64_t tc_i64(tc_reader *reader, tc_key *key, int64_t fallback);
static inline int tc_bool(tc_reader *reader, tc_key *key, int fallback);

/* UTF-8 of *len bytes without a terminating zero, valid until the next tc_poll; or the fallback, a terminated string. */
static inline const char *tc_str(tc_reader *reader, tc_key *key, const char *fallback, size_t *len);

/* Bytes, valid until the next tc_poll; or the fallback. *len is the fallback's length before the call, the result's after it. */
static inline const void *tc_bytes(tc_reader *reader, tc_key *key, const void *fallback, size_t *len);

/* An array, a tensor, or a numpy scalar as an array without axes. Returns 0, or an error as above; then *array is unchanged. */
static inline int tc_view(tc_reader *reader, tc_key *key, tc_array *array);

/* Frees everything. Closing twice is allowed, and so is closing a reader of zeros. */
static inline void tc_close(tc_reader *reader);

/* The last error of the reader, in words. */
static inline const char *tc_error(const tc_reader *reader);

/* key->error in words. */
static inline const char *tc_why(const tc_key *key);

/* --- implementation ------------------------------------------------------------------------------------------------------- */

#define TC_COLD_ static __attribute__((cold, noinline, unused))
#define TC_APART_ static __attribute__((noinline, unused))
#define TC_LIKELY_(condition) __builtin_expect(!!(condition), 1)

/* The protocol of rust/core/src/ring/seqlock.rs: R1 to R4 are its steps, and cases A to F there show that it is correct. */
static inline uint64_t tc_acquire_(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline uint64_t tc_relaxed_(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }

/* Copies words that somebody may be writing. Unrolled by hand, because compilers do not unroll loops of atomic accesses. */
static inline void tc_load_(void *out, const uint64_t *words, size_t count) {
    tc_word_ *to = (tc_word_ *)out;
    for (; count >= 4; count -= 4, to += 4, words += 4) {
        to[0] = tc_relaxed_(&words[0]);
        to[1] = tc_relaxed_(&words[1]);
        to[2] = tc_relaxed_(&words[2]);
        to[3] = tc_relaxed_(&words[3]);
    }
    for (; count > 0; count--) *to++ = tc_relaxed_(words++);
}

static inline int tc_fail_(tc_reader *r, int error, const char *why) {
    r->error_ = why;
    return error;
}

/* Memory for `count` items. The old content is lost if the memory is replaced. */
static inline int tc_room_(void **memory, size_t *cap, size_t count, size_t size) {
    if (TC_LIKELY_(count <= *cap)) return 0;
    size_t wanted = count + count / 2;
    void *more = NULL;
    if (wanted < count || wanted > SIZE_MAX / size || posix_memalign(&more, 64, wanted * size) != 0) return -ENOMEM;
    free(*memory);
    *memory = more;
    *cap = wanted;
    return 0;
}

/* Memory for one more item. The content is kept. */
static inline int tc_grow_(void **memory, size_t *cap, size_t len, size_t size) {
    if (TC_LIKELY_(len < *cap)) return 0;
    size_t wanted = *cap < 8 ? 8 : 2 * *cap;
    void *more = wanted > SIZE_MAX / size ? NULL : realloc(*memory, wanted * size);
    if (more == NULL) return -ENOMEM;
    *memory = more;
    *cap = wanted;
    return 0;
}

/* Makes no system call, and is as precise as the kernel's tick. */
static inline uint64_t tc_tick_ns_(void) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- the file */

enum { TC_THE_SAME_ = 1 }; /* the file at hand has the name */

static inline int tc_same_identity_(const tc_reader *r, const uint64_t *words) {
    uint64_t name[TC_NAME_BYTES / 8];
    tc_load_(name, words + TC_HEADER_NAME, TC_NAME_BYTES / 8);
    uint64_t identity = (uint64_t)strlen(r->name_) << 32 | r->policy_id_;
    return tc_relaxed_(&words[TC_HEADER_IDENTITY]) == identity &&
           memcmp(name, r->name_, TC_NAME_BYTES) == 0; /* both are padded with zeros */
}

/* Checks that other machines cannot share a directory. 0, or an error. */
static inline int tc_check_local_(tc_reader *r, int folder) {
    static const uint32_t remote[] = TC_REMOTE_FILE_SYSTEMS;
    struct statfs system;
    if (fstatfs(folder, &system) != 0) return tc_fail_(r, -errno, "the directory of the channel cannot be examined");
    for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
        if ((uint32_t)system.f_type == remote[i])
            return tc_fail_(r, -EACCES, "the directory is on a file system that other machines may share");
    return 0;
}

static inline int tc_open_file_(int folder, const char *name, int flags) {
    int fd = -1;
    do fd = openat(folder, name, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Opens a directory and checks that it belongs to this user alone. A descriptor, or an error. */
static inline int tc_open_folder_(tc_reader *r, const char *directory) {
    struct stat of;
    int folder = tc_open_file_(AT_FDCWD, directory, O_DIRECTORY), error = errno;
    if (folder < 0) {
        if (error == ENOENT) return tc_fail_(r, -ENOENT, "there is no such channel");
        if (error == ELOOP || error == ENOTDIR)
            return tc_fail_(r, -EACCES, "the directory of the channel is a link, or not a directory");
        return tc_fail_(r, -error, "the directory of the channel cannot be opened");
    }
    error = 0;
    if (fstat(folder, &of) != 0)
        error = tc_fail_(r, -errno, "the directory of the channel cannot be examined");
    else if (of.st_uid != geteuid() || (of.st_mode & 077) != 0)
        error = tc_fail_(r, -EACCES, "the directory of the channel belongs to another user, or is open to others");
    else
        error = tc_check_local_(r, folder);
    if (error == 0) return folder;
    close(folder);
    return error;
}

/* Opens the channel's file in a directory. A descriptor, or an error. */
static inline int tc_open_segment_(tc_reader *r, const char *directory, struct stat *of) {
    char name[TC_NAME_BYTES + 8];
    int folder = tc_open_folder_(r, directory);
    if (folder < 0) return folder;
    snprintf(name, sizeof name, "%s@%u", r->name_, (unsigned)r->policy_id_);
    int fd = -1, error = ENOENT;
    for (int tries = 0; tries < 1000; tries++) {
        fd = tc_open_file_(folder, name, 0);
        error = fd < 0 || fstat(fd, of) != 0 ? errno : 0;
        if (error != 0 || of->st_nlink != 0) break;
        close(fd); /* replaced or removed just now */
        fd = -1;
        error = ENOENT;
    }
    close(folder);
    if (error == 0) return fd;
    if (fd >= 0) close(fd);
    if (error == ENOENT) return tc_fail_(r, -ENOENT, "there is no such channel");
    if (error == ELOOP || error == ENXIO)
        return tc_fail_(r, -EBADMSG, "the channel's file is a link, or not a regular file");
    return tc_fail_(r, -error, "the channel's file cannot be opened");
}

/* Checks that a header agrees with itself, with the file's size and with the channel's name. */
static inline int tc_check_header_(tc_reader *r, tc_file_ *file) {
    const uint64_t *words = file->words;
    uint64_t magic = tc_relaxed_(&words[TC_HEADER_MAGIC]), capacity = tc_relaxed_(&words[TC_HEADER_CAPACITY]);
    if (magic == 0) return tc_fail_(r, -EBADMSG, "the channel's file is damaged: it begins with zeros");
    if (magic != TC_SEGMENT_MAGIC) return tc_fail_(r, -EPROTO, "the channel's file was not written by traincast");
    if (tc_relaxed_(&words[TC_HEADER_LAYOUT]) != TC_LAYOUT_VERSION)
        return tc_fail_(r, -EPROTO, "the channel's file has another layout: learner and env need compatible versions of traincast");
    if (tc_relaxed_(&words[TC_HEADER_SLOTS]) != TC_SLOTS || capacity < TC_PAGE || capacity % TC_PAGE != 0 ||
        capacity > TC_LARGEST_CAPACITY || capacity * TC_SLOTS + TC_HEADER_BYTES != file->bytes ||
        tc_relaxed_(&words[TC_HEADER_TOTAL]) != file->bytes)
        return tc_fail_(r, -EBADMSG, "the channel's file is damaged: its header gives another size");
    if (!tc_same_identity_(r, words))
        return tc_fail_(r, -EBADMSG, "the channel's file is damaged: it is the file of another channel");
    uint64_t position = tc_relaxed_(&words[TC_HEADER_HEAD]) >> 2;
    if (position == 0 || position > TC_LARGEST_POSITION)
        return tc_fail_(r, -EBADMSG, "the channel's file is damaged: its newest position is out of range");
    file->stride = (size_t)capacity / 8;
    return 0;
}

static inline void tc_unmap_(const tc_file_ *file) {
    if (file->words != NULL) munmap((void *)(uintptr_t)file->words, file->bytes);
}

/* Maps the file that has the channel's name in a directory. 0, TC_THE_SAME_, or an error. */
static inline int tc_map_(tc_reader *r, const char *directory, tc_file_ *file) {
    struct stat of;
    int fd = tc_open_segment_(r, directory, &of);
    if (fd < 0) return fd;
    if (r->file_.words != NULL && of.st_dev == r->file_.device && of.st_ino == r->file_.inode) {
        close(fd); /* a mapped file keeps its inode, so this is the same file */
        return TC_THE_SAME_;
    }
    if (!S_ISREG(of.st_mode) || of.st_uid != geteuid() || (of.st_mode & 077) != 0 || of.st_nlink > 1 ||
        of.st_size < (off_t)TC_HEADER_BYTES || of.st_size % TC_PAGE != 0) {
        close(fd);
        return tc_fail_(r, -EBADMSG, "the channel's file was not created by traincast");
    }
    size_t bytes = (size_t)of.st_size;
    void *memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    int error = errno;
    close(fd);
    if (memory == MAP_FAILED) return tc_fail_(r, -error, "the channel's file cannot be mapped");
    file->words = (const uint64_t *)memory;
    file->bytes = bytes;
    error = tc_check_header_(r, file);
    if (error) {
        tc_unmap_(file);
        return error;
    }
    file->device = of.st_dev;
    file->inode = of.st_ino;
    file->number = ++r->files_;
    return 0;
}

/* The user id outside of the user namespace. */
static inline unsigned long tc_user_outside_(void) {
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

/* Finds the channel's file where Python code would. The file of a closed channel is about to be removed, and is ignored. */
static inline int tc_find_(tc_reader *r, tc_file_ *file) {
    static const char *const shared[] = {"/dev/shm", "/tmp"};
    unsigned places = r->directory_[0] != '\0' ? 1 : 2, first = r->file_.words != NULL ? r->file_.place : 0;
    int fault = -ENOENT;
    const char *why = "there is no such channel";
    for (unsigned i = 0; i < places; i++) {
        unsigned place = i ^ first; /* a channel stays where it is */
        char path[64];
        snprintf(path, sizeof path, "%s/traincast-%lu", shared[place], r->user_);
        int found = tc_map_(r, places == 1 ? r->directory_ : path, file);
        if (found >= 0) {
            const uint64_t *words = found == TC_THE_SAME_ ? r->file_.words : file->words;
            if ((tc_relaxed_(&words[TC_HEADER_HEAD]) & TC_MARKS) != TC_CLOSED) {
                file->place = place;
                return found;
            }
            if (found != TC_THE_SAME_) tc_unmap_(file);
            continue;
        }
        if (found == -ENOENT || (place > 0 && found == -EACCES)) continue; /* a fallback that is not ours is ignored */
        if (fault == -ENOENT) {
            fault = found;
            why = r->error_;
        }
        if (r->file_.words != NULL && i == 0) break; /* the channel's own place cannot be searched */
    }
    return tc_fail_(r, fault, why);
}

/* --- the shape */

typedef struct tc_walk_ {
    const unsigned char *at, *end;
    int bad;
} tc_walk_;

static inline uint64_t tc_leb128_(tc_walk_ *w) {
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
    uint64_t count = tc_leb128_(w);
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

/* Parses a node, without its children. */
static inline void tc_node_at_(tc_walk_ *w, tc_node_ *node) {
    memset(node, 0, sizeof *node);
    node->kind = tc_byte_(w);
    switch (node->kind) {
    case TC_NONE: break;
    case TC_BOOL: case TC_INT: case TC_FLOAT: case TC_BIG_INT: case TC_STR: case TC_BYTES: node->words = 1; break;
    case TC_LIST: case TC_TUPLE: case TC_DICT: node->children = tc_count_(w); break;
    case TC_ARRAY: case TC_TENSOR: node->ndim = tc_byte_(w); /* fall through */
    case TC_SCALAR: {
        uint64_t itemsize = tc_leb128_(w);
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

static inline int tc_has_children_(unsigned kind) { return kind == TC_LIST || kind == TC_TUPLE || kind == TC_DICT; }

static inline int tc_has_blob_(unsigned kind) {
    return kind == TC_BIG_INT || kind == TC_STR || kind == TC_BYTES || kind == TC_ARRAY || kind == TC_TENSOR;
}

/* A key of a dictionary. An int that fits into 64 bits gets is_int 1, however many bytes it is written with. */
typedef struct tc_name_ {
    int is_int; /* 0: a name; 1: an int; 2: a larger int */
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
        uint64_t zigzag = tc_leb128_(w);
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
        name->len = 0;
    }
}

/* The order of two entries: by dictionary, and within one so that equal keys are neighbours. */
static inline int tc_order_(const tc_structure_ *s, const tc_entry_ *a, const tc_entry_ *b) {
    if (a->dict != b->dict) return a->dict < b->dict ? -1 : 1;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    const unsigned char *bytes = (const unsigned char *)s->bytes;
    tc_walk_ at_a = {bytes + a->at, bytes + s->len, 0}, at_b = {bytes + b->at, bytes + s->len, 0};
    tc_name_ x, y;
    tc_name_at_(&at_a, &x);
    tc_name_at_(&at_b, &y);
    if (x.is_int != y.is_int) return x.is_int < y.is_int ? -1 : 1;
    if (x.is_int == 1) return x.number < y.number ? -1 : x.number > y.number;
    if (x.len != y.len) return x.len < y.len ? -1 : 1;
    return memcmp(x.text, y.text, x.len);
}

/* Restores the heap below an entry. */
static inline void tc_sift_(const tc_structure_ *s, tc_entry_ *entries, size_t at, size_t count) {
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && tc_order_(s, &entries[child], &entries[child + 1]) < 0) child++;
        if (tc_order_(s, &entries[at], &entries[child]) >= 0) return;
        tc_entry_ larger = entries[child];
        entries[child] = entries[at];
        entries[at] = larger;
    }
}

/* Whether a key occurs twice in a dictionary. By heapsort: no choice of keys makes it slow, and it needs no memory. */
static inline int tc_repeats_(const tc_structure_ *s, tc_entry_ *entries, size_t count) {
    for (size_t at = count / 2; at-- > 0;) tc_sift_(s, entries, at, count);
    for (size_t end = count; end-- > 1;) {
        tc_entry_ largest = entries[0];
        entries[0] = entries[end];
        entries[end] = largest;
        if (end + 1 < count && tc_order_(s, &entries[end], &entries[end + 1]) == 0) return 1;
        tc_sift_(s, entries, 0, end);
    }
    return count > 1 && tc_order_(s, &entries[0], &entries[1]) == 0;
}

static inline uint64_t tc_hash_(const tc_name_ *name) {
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)name->is_int ^ (uint64_t)name->number; /* FNV-1a */
    for (size_t i = 0; i < name->len; i++) hash = (hash ^ name->text[i]) * 0x100000001b3u;
    return hash;
}

/* Checks a shape, and notes the leaves that have blobs. */
TC_APART_ int tc_parse_(tc_reader *r, tc_structure_ *s) {
    size_t left[TC_MAX_DEPTH];
    uint32_t dict[TC_MAX_DEPTH]; /* number of the dictionary; 0: a list or tuple */
    size_t depth = 0, values = 0, entries = 0;
    uint32_t dicts = 0;
    const unsigned char *bytes = (const unsigned char *)s->bytes;
    tc_walk_ w = {bytes, bytes + s->len, 0};
    tc_name_ name;
    tc_node_ node;
    s->blobs_len = 0;
    if (s->len == 0 || *w.at != TC_DICT) return tc_fail_(r, -EBADMSG, "a snapshot is damaged: it is not a dictionary");
    for (;;) {
        if (values > UINT32_MAX) break;
        tc_node_at_(&w, &node);
        if (w.bad) break;
        if (tc_has_blob_(node.kind)) {
            void *blobs = s->blobs;
            int error = tc_grow_(&blobs, &s->blobs_cap, s->blobs_len, sizeof *s->blobs);
            s->blobs = (tc_blob_ *)blobs;
            if (error) return tc_fail_(r, error, "no memory for a snapshot");
            tc_blob_ *blob = &s->blobs[s->blobs_len++];
            blob->value_at = (uint32_t)values;
            blob->kind = node.kind;
            blob->ndim = node.ndim;
            blob->itemsize = node.itemsize;
        }
        values += node.words;
        if (tc_has_children_(node.kind)) {
            if (depth == TC_MAX_DEPTH) break;
            left[depth] = node.children;
            dict[depth++] = node.kind == TC_DICT ? ++dicts : 0;
        }
        while (depth > 0 && left[depth - 1] == 0) depth--;
        if (depth == 0) {
            if (w.at != w.end) break;
            if (tc_repeats_(s, r->entries_, entries))
                return tc_fail_(r, -EBADMSG, "a snapshot is damaged: a dictionary has a key twice");
            s->values_len = values;
            return 0;
        }
        left[depth - 1]--;
        if (dict[depth - 1] != 0) {
            void *memory = r->entries_;
            int error = tc_grow_(&memory, &r->entries_cap_, entries, sizeof *r->entries_);
            r->entries_ = (tc_entry_ *)memory;
            if (error) return tc_fail_(r, error, "no memory for a snapshot");
            tc_entry_ *entry = &r->entries_[entries++];
            entry->dict = dict[depth - 1];
            entry->at = (uint32_t)(w.at - bytes);
            tc_name_at_(&w, &name);
            entry->hash = tc_hash_(&name);
        }
    }
    return tc_fail_(r, -EBADMSG, "a snapshot is damaged: its structure makes no sense");
}

/* Finds the bytes of each leaf: they follow those of the leaves before it. */
static inline int tc_place_(tc_reader *r, const tc_structure_ *s, tc_copy_ *c) {
    if (s->blobs_len > 0) {
        void *places = c->places;
        int error = tc_room_(&places, &c->places_cap, s->blobs_len, sizeof *c->places);
        c->places = (tc_span_ *)places;
        if (error) return tc_fail_(r, error, "no memory for a snapshot");
    }
    uint64_t next = 0, limit = (uint64_t)c->blobs_len * 8; /* in bytes; both are at most a file's size, so nothing below overflows */
    for (size_t i = 0; i < s->blobs_len; i++) {
        const tc_blob_ *blob = &s->blobs[i];
        const uint64_t *axes = c->values + blob->value_at;
        uint64_t at = next, len = blob->itemsize;
        if (blob->kind == TC_ARRAY || blob->kind == TC_TENSOR) {
            at = (next + 63) / 64 * 64;
            /* An empty axis makes the array empty, however long the others claim to be, even after an overflow. */
            for (uint32_t axis = 0; axis < blob->ndim; axis++)
                if (__builtin_mul_overflow(len, axes[axis], &len)) len = UINT64_MAX;
        } else {
            len = axes[0];
        }
        if (at > limit || len > limit - at) return tc_fail_(r, -EBADMSG, "a snapshot is damaged: a value extends beyond it");
        c->places[i].at = (size_t)at;
        c->places[i].len = (size_t)len;
        next = (at + len + 7) / 8 * 8;
    }
    return 0;
}

/* --- taking a snapshot */

/* What a slot says about its snapshot. */
typedef struct tc_meta_ {
    uint64_t position, term, epoch, version, published, published_unix, takeover, shape_id, shape_len, values_len, blob_words;
    int known; /* whether its structure is the one in hand */
} tc_meta_;

static inline void tc_load_meta_(tc_meta_ *m, const uint64_t *slot) {
    m->position = tc_relaxed_(&slot[TC_SLOT_POSITION]);
    m->term = tc_relaxed_(&slot[TC_SLOT_TERM]);
    m->epoch = tc_relaxed_(&slot[TC_SLOT_EPOCH]);
    m->version = tc_relaxed_(&slot[TC_SLOT_VERSION]);
    m->published = tc_relaxed_(&slot[TC_SLOT_PUBLISHED]);
    m->published_unix = tc_relaxed_(&slot[TC_SLOT_PUBLISHED_UNIX]);
    m->takeover = tc_relaxed_(&slot[TC_SLOT_TAKEOVER]);
    m->shape_id = tc_relaxed_(&slot[TC_SLOT_SHAPE_ID]);
    m->shape_len = tc_relaxed_(&slot[TC_SLOT_SHAPE_LEN]);
    m->values_len = tc_relaxed_(&slot[TC_SLOT_VALUES_LEN]);
    m->blob_words = tc_relaxed_(&slot[TC_SLOT_BLOB_WORDS]);
}

/* R2: copies a slot into what is not in hand. Its words may be of several snapshots: nothing is believed, and the copy counts
 * only once the slot was found unchanged. */
static inline int tc_fill_(tc_reader *r, const tc_file_ *file, const uint64_t *slot, uint64_t position, tc_meta_ *m) {
    tc_load_meta_(m, slot);
    uint64_t room = file->stride - TC_SLOT_PAYLOAD;
    if (m->shape_len > room * 8 || m->values_len > room || m->blob_words > room || m->shape_len > UINT32_MAX ||
        (m->shape_len + 7) / 8 + m->values_len + m->blob_words > room || m->position != position || m->takeover == 0 ||
        m->shape_id == 0 || m->version == 0)
        return tc_fail_(r, -EBADMSG, "a snapshot is damaged: its numbers make no sense");
    const uint64_t *from = slot + TC_SLOT_PAYLOAD;
    size_t shape_words = (size_t)(m->shape_len + 7) / 8;
    const tc_structure_ *in_hand = &r->structures_[r->structure_];
    /* The length too: with another one the values would begin elsewhere. */
    m->known = in_hand->file == file->number && in_hand->takeover == m->takeover && in_hand->id == m->shape_id &&
               in_hand->len == m->shape_len;
    if (!TC_LIKELY_(m->known)) {
        tc_structure_ *s = &r->structures_[!r->structure_];
        s->file = 0; /* none, until it has been checked */
        s->len = (size_t)m->shape_len;
        void *bytes = s->bytes;
        int error = tc_room_(&bytes, &s->bytes_cap, shape_words, 8);
        s->bytes = (uint64_t *)bytes;
        if (error) return tc_fail_(r, error, "no memory for a snapshot");
        tc_load_(s->bytes, from, shape_words);
    }
    tc_copy_ *c = &r->copies_[!r->copy_];
    void *memory = c->values;
    int error = tc_room_(&memory, &c->values_cap, (size_t)m->values_len, 8);
    c->values = (uint64_t *)memory;
    if (error == 0) error = tc_room_(&c->blobs, &c->blobs_cap, (size_t)m->blob_words, 8);
    if (error) return tc_fail_(r, error, "no memory for a snapshot");
    tc_load_(c->values, from + shape_words, (size_t)m->values_len);
    tc_load_(c->blobs, from + shape_words + m->values_len, (size_t)m->blob_words);
    c->blobs_len = (size_t)m->blob_words;
    return 0;
}

/* Takes in hand what was copied whole. 1: it is another snapshot than before; 0: it is the same, from another file. */
static inline int tc_accept_(tc_reader *r, const tc_file_ *file, const tc_meta_ *m) {
    int error = 0, structure = m->known ? r->structure_ : !r->structure_;
    tc_structure_ *s = &r->structures_[structure];
    tc_copy_ *c = &r->copies_[!r->copy_];
    if (!TC_LIKELY_(m->known)) error = tc_parse_(r, s);
    if (error == 0 && s->values_len != m->values_len)
        error = tc_fail_(r, -EBADMSG, "a snapshot is damaged: it has too few or too many values");
    if (error == 0) error = tc_place_(r, s, c);
    if (error) return error;
    int same = r->version == m->version && r->epoch == m->epoch && r->term == m->term;
    if (!TC_LIKELY_(m->known)) {
        s->file = file->number;
        s->takeover = m->takeover;
        s->id = m->shape_id;
        r->structure_ = structure;
        r->serial_ = ++r->serials_;
    }
    r->copy_ = !r->copy_;
    r->values_ = c->values;
    r->position_ = m->position;
    r->version = m->version;
    r->epoch = m->epoch;
    r->term = m->term;
    r->published_ns = m->published;
    r->published_unix_ns = m->published_unix;
    return !same;
}

TC_APART_ int tc_take_newest_(tc_reader *r, const tc_file_ *file) {
    const uint64_t *head_word = &file->words[TC_HEADER_HEAD];
    uint64_t head = tc_acquire_(head_word); /* R1 */
    for (int laps = 0; laps < TC_MAX_LAPS; laps++) {
        uint64_t position = head >> 2, complete = 2 * position + 2;
        const uint64_t *slot = file->words + TC_HEADER_WORDS + (size_t)(position % TC_SLOTS) * file->stride;
        if (TC_LIKELY_(tc_relaxed_(&slot[TC_SLOT_SEQ]) == complete)) { /* avoids copying a slot that is being rewritten */
            tc_meta_ meta;
            int error = tc_fill_(r, file, slot, position, &meta);
            __atomic_thread_fence(__ATOMIC_ACQUIRE);         /* R3, partner of the fence W2: case B */
            if (tc_relaxed_(&slot[TC_SLOT_SEQ]) == complete) /* R4 */
                return error ? error : tc_accept_(r, file, &meta);
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* partner of the odd seq's Release: case C */
        uint64_t newer = tc_acquire_(head_word);
        if (newer >> 2 <= position) break;
        head = newer;
    }
    return tc_fail_(r, -EBADMSG, "the ring of the channel's file is damaged");
}

/* --- following the channel */

enum { TC_STAYED_ = 0, TC_MOVED_ = 2, TC_MOVED_TO_NEWS_ = 3 };

/* Looks for another file with the name, and moves to it if its newest snapshot is whole. One of the above, or an error. */
TC_COLD_ int tc_follow_(tc_reader *r) {
    tc_file_ next;
    r->look_in_ = TC_LOOK_EVERY;
    r->looked_ns_ = tc_tick_ns_();
    /* Loaded before the search: a mark that is set later causes another search. */
    r->looked_head_ = r->head_ == NULL ? 0 : tc_acquire_(r->head_);
    int found = tc_find_(r, &next);
    r->nameless_ = found == -ENOENT;
    if (found == TC_THE_SAME_ || (found < 0 && r->head_ != NULL)) return TC_STAYED_; /* go on with the file at hand */
    if (found < 0) return found;
    int taken = tc_take_newest_(r, &next);
    if (taken < 0) {
        tc_unmap_(&next);
        return taken;
    }
    tc_unmap_(&r->file_);
    r->file_ = next;
    r->head_ = &next.words[TC_HEADER_HEAD];
    r->seen_ = r->position_ << 2;
    r->looked_head_ = 0;
    return taken ? TC_MOVED_TO_NEWS_ : TC_MOVED_;
}

static inline int tc_may_have_successor_(const tc_reader *r, uint64_t head) {
    return head != r->looked_head_ || tc_tick_ns_() - r->looked_ns_ >= TC_ENDED_NS;
}

/* The slow part of tc_poll, when something may have changed. `now`: look up the name in any case. */
TC_COLD_ int tc_look_(tc_reader *r, int now) {
    int news = 0;
    for (int moves = 0; moves < TC_MAX_MOVES; moves++) {
        uint64_t head = r->head_ == NULL ? 0 : tc_acquire_(r->head_);
        int ended = r->head_ == NULL || (head & TC_MARKS) != 0;
        if (now || (ended && tc_may_have_successor_(r, head))) {
            int found = tc_follow_(r);
            now = 0;
            r->fault_ = found < 0 ? found : 0;
            if (found > 0) {
                news |= found == TC_MOVED_TO_NEWS_;
                continue;
            }
        }
        if (r->head_ == NULL) return r->fault_;
        if (head >> 2 == r->position_) {
            r->seen_ = ended ? UINT64_MAX : head;
            return news ? 1 : r->fault_;
        }
        int taken = tc_take_newest_(r, &r->file_);
        if (taken >= 0) {
            r->seen_ = r->position_ << 2;
            return news | taken;
        }
        if (!tc_may_have_successor_(r, head)) return taken;
        now = 1; /* the channel's owner may have replaced this file by a sound one */
    }
    return news;
}

/* As tc_look_, after many polls without news. */
TC_COLD_ int tc_look_if_idle_(tc_reader *r) {
    r->look_in_ = TC_LOOK_EVERY;
    return tc_tick_ns_() - r->looked_ns_ < TC_IDLE_NS ? 0 : tc_look_(r, 1);
}

static inline int tc_is_open_(tc_reader *r) {
    if (r->name_[0] != '\0') return 1;
    tc_fail_(r, -EBADF, "the reader is closed, or was never opened");
    return 0;
}

/* There may be news, or it is time to look at the clock. */
TC_APART_ int tc_poll_further_(tc_reader *r, uint64_t head) {
    if (head == r->seen_) return tc_look_if_idle_(r);
    if (TC_LIKELY_((head & TC_MARKS) == 0 && head >> 2 != r->position_)) {
        int taken = tc_take_newest_(r, &r->file_);
        if (TC_LIKELY_(taken >= 0)) {
            r->seen_ = r->position_ << 2;
            return taken;
        }
    }
    return tc_look_(r, 0);
}

static inline int tc_poll(tc_reader *r) {
    if (TC_LIKELY_(r->head_ != NULL)) {
        uint64_t head = tc_acquire_(r->head_);
        if (TC_LIKELY_(head == r->seen_ && --r->look_in_ != 0)) return 0;
        return tc_poll_further_(r, head);
    }
    return tc_is_open_(r) ? tc_look_(r, 0) : -EBADF;
}

static inline int tc_refresh(tc_reader *r) { return tc_is_open_(r) ? tc_look_(r, 1) : -EBADF; }

static inline int tc_closed(const tc_reader *r) {
    if (r->head_ == NULL) return 0;
    uint64_t head = tc_acquire_(r->head_);
    /* If no file has the name, the newer file was closed too: its mark is in that file, which is gone. */
    return (head & TC_MARKS) == TC_CLOSED || ((head & TC_SUPERSEDED) != 0 && r->nameless_) ||
           tc_relaxed_(&r->file_.words[TC_HEADER_LINK]) == TC_LINK_LEARNER_CLOSED;
}

/* --- opening and closing */

static inline int tc_set_name_(tc_reader *r, const char *name, uint16_t policy_id) {
    size_t len = name == NULL ? 0 : strlen(name);
    if (len == 0) return tc_fail_(r, -EINVAL, "the channel has no name: pass one, or set TRAINCAST_NAME");
    int legal = len <= TC_NAME_BYTES && name[0] != '.';
    for (size_t i = 0; i < len && legal; i++) {
        char c = name[i];
        legal = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    }
    if (!legal) return tc_fail_(r, -EINVAL, "a channel name has 1 to 128 of A-Z a-z 0-9 . _ - and does not start with a dot");
    memcpy(r->name_, name, len);
    r->policy_id_ = policy_id;
    return 0;
}

static inline int tc_set_directory_(tc_reader *r, const char *directory) {
    if (directory == NULL || directory[0] == '\0') directory = getenv("TRAINCAST_DIR");
    r->user_ = tc_user_outside_();
    size_t len = directory == NULL ? 0 : strlen(directory), base = 0;
    if (len == 0) return 0;
    if (directory[0] != '/') { /* made absolute, because the program may change its working directory */
        if (getcwd(r->directory_, sizeof r->directory_ - 1) == NULL)
            return tc_fail_(r, -errno, "the working directory is gone, or its path is too long");
        base = strlen(r->directory_);
        r->directory_[base++] = '/';
    }
    if (len >= sizeof r->directory_ - base) return tc_fail_(r, -ENAMETOOLONG, "the path of the directory is too long");
    memcpy(r->directory_ + base, directory, len + 1);
    return 0;
}

/* Allocates the memory that small snapshots need. */
static inline int tc_set_buffers_(tc_reader *r) {
    for (int i = 0; i < 2; i++) {
        void *values = NULL, *bytes = NULL;
        int error = tc_room_(&values, &r->copies_[i].values_cap, 512, 8);
        if (error == 0) error = tc_room_(&bytes, &r->structures_[i].bytes_cap, 512, 8);
        if (error == 0) error = tc_room_(&r->copies_[i].blobs, &r->copies_[i].blobs_cap, 512, 8);
        r->copies_[i].values = (uint64_t *)values;
        r->structures_[i].bytes = (uint64_t *)bytes;
        if (error) return tc_fail_(r, error, "no memory for a reader");
    }
    return 0;
}

/* Two readers of a process never use the same serials, so a key that is used with another reader is resolved again. */
static inline uint64_t tc_first_serial_(const tc_reader *r) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t x = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + (uint64_t)(uintptr_t)r;
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdu; /* the finalizer of MurmurHash3 */
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
    return x >> 1 | 1; /* at most half of the range, so that it never wraps to 0 */
}

static inline int tc_open_at(tc_reader *r, const char *directory, const char *name, uint16_t policy_id, size_t sizeof_reader) {
    if (sizeof_reader != sizeof *r) return -EINVAL; /* nothing is written: the caller's reader may be smaller */
    memset(r, 0, sizeof *r);
    r->serials_ = tc_first_serial_(r);
    int error = tc_set_name_(r, name != NULL ? name : getenv("TRAINCAST_NAME"), policy_id);
    if (error == 0) error = tc_set_directory_(r, directory);
    if (error == 0) error = tc_set_buffers_(r);
    if (error == 0) {
        error = tc_look_(r, 1);
        if (error >= 0) return 0;
        if (error == -ENOENT) return error; /* the channel may still appear */
    }
    const char *why = r->error_;
    tc_close(r);
    return tc_fail_(r, error, why);
}

static inline int tc_open(tc_reader *r, const char *name, uint16_t policy_id, size_t sizeof_reader) {
    return tc_open_at(r, NULL, name, policy_id, sizeof_reader);
}

static inline void tc_close(tc_reader *r) {
    tc_unmap_(&r->file_);
    for (int i = 0; i < 2; i++) {
        free(r->structures_[i].bytes);
        free(r->structures_[i].blobs);
        free(r->copies_[i].values);
        free(r->copies_[i].blobs);
        free(r->copies_[i].places);
    }
    free(r->entries_);
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
    for (;;) { /* the shape has been checked: depth and lengths are valid */
        tc_node_at_(w, &node);
        *values += node.words;
        *blobs += (size_t)tc_has_blob_(node.kind);
        if (tc_has_children_(node.kind)) {
            left[depth] = node.children;
            dict[depth++] = node.kind == TC_DICT;
        }
        while (depth > 0 && left[depth - 1] == 0) depth--;
        if (depth == 0 || w->bad) return;
        left[depth - 1]--;
        if (dict[depth - 1]) tc_name_at_(w, &name);
    }
}

/* The index that a name means, if it is written like an int. 0: it is not. */
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

/* The next key of a path. */
static inline const unsigned char *tc_next_part_(const unsigned char *part, tc_name_ *name) {
    memset(name, 0, sizeof *name);
    name->is_int = part[0];
    if (name->is_int) {
        memcpy(&name->number, part + 1, 8);
        return part + 9;
    }
    name->len = (size_t)part[1] | (size_t)part[2] << 8;
    name->text = part + 3;
    return part + 3 + name->len;
}

/* Moves to a child of a container. 0: there is no such child. */
static inline int tc_enter_(tc_walk_ *w, const tc_node_ *node, const tc_name_ *wanted, size_t *values, size_t *blobs) {
    if (node->kind == TC_DICT) {
        for (size_t child = 0; child < node->children; child++) {
            tc_name_ name;
            tc_name_at_(w, &name);
            if (name.is_int == wanted->is_int && name.number == wanted->number && name.len == wanted->len &&
                (name.len == 0 || memcmp(name.text, wanted->text, name.len) == 0))
                return 1;
            tc_skip_(w, values, blobs);
        }
        return 0;
    }
    int64_t index = wanted->number;
    if (node->kind != TC_LIST && node->kind != TC_TUPLE) return 0;
    if (!wanted->is_int && !tc_index_(wanted->text, wanted->len, &index)) return 0;
    if (index < 0) index += (int64_t)node->children;
    if (index < 0 || (uint64_t)index >= node->children) return 0;
    for (int64_t child = 0; child < index; child++) tc_skip_(w, values, blobs);
    return 1;
}

/* Follows the path through the shape. */
TC_APART_ void tc_resolve_(tc_reader *r, tc_key *key) {
    const tc_structure_ *s = &r->structures_[r->structure_];
    const unsigned char *bytes = (const unsigned char *)s->bytes;
    const unsigned char *part = key->path, *end = key->path + key->path_len;
    key->kind = TC_MISSING;
    key->serial = r->serial_;
    if (r->serial_ == 0 || part == end) return;
    tc_walk_ w = {bytes, bytes + s->len, 0};
    size_t values = 0, blobs = 0;
    tc_node_ node;
    tc_node_at_(&w, &node);
    while (part != end) {
        tc_name_ wanted;
        part = tc_next_part_(part, &wanted);
        if (!tc_enter_(&w, &node, &wanted, &values, &blobs)) return;
        tc_node_at_(&w, &node);
    }
    key->kind = node.kind;
    key->value_at = (uint32_t)values;
    key->blob = (uint32_t)blobs;
    key->itemsize = node.itemsize;
    key->ndim = node.ndim;
    key->dtype_at = node.dtype == NULL ? 0 : (uint32_t)(node.dtype - bytes);
    key->dtype_len = (uint32_t)node.dtype_len;
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
    if (error) return tc_fail_(r, error, error == -EINVAL ? "a path needs a name on both sides of each dot" : "the path is too long");
    tc_resolve_(r, key);
    return 0;
}

/* --- values */

static inline int tc_give_up_(tc_key *key) {
    key->error = key->kind == TC_MISSING ? -ENOENT : key->kind == TC_BIG_INT ? -EOVERFLOW : -EINVAL;
    return key->error;
}

/* The type of a number. */
enum { TC_DOUBLE_ = 0, TC_WHOLE_ = 1 };
typedef struct tc_number_ {
    double real;
    int64_t whole;
} tc_number_;

static inline double tc_half_(uint64_t bits) {
    unsigned exponent = (unsigned)(bits >> 10 & 31), fraction = (unsigned)(bits & 1023);
    double size = exponent == 0    ? fraction / 16777216.0
                  : exponent == 31 ? (fraction ? __builtin_nan("") : __builtin_inf())
                                   : (fraction + 1024u) * (double)(1u << exponent) / 33554432.0;
    return bits >> 15 & 1 ? -size : size;
}

static inline double tc_single_(uint64_t bits) {
    uint32_t half = (uint32_t)bits;
    float narrow;
    memcpy(&narrow, &half, 4);
    return (double)narrow;
}

/* A numpy scalar as a double or a whole number, or an error. */
static inline int tc_scalar_(const tc_reader *r, const tc_key *key, tc_number_ *number) {
    const char *dtype = (const char *)r->structures_[r->structure_].bytes + key->dtype_at;
    uint32_t size = key->itemsize;
    if (size != 1 && size != 2 && size != 4 && size != 8) return -EINVAL;
    uint64_t word = r->values_[key->value_at];
    if (key->dtype_len == 8 && memcmp(dtype, "bfloat16", 8) == 0 && size == 2) {
        number->real = tc_single_((word & 0xffff) << 16);
        return TC_DOUBLE_;
    }
    if (key->dtype_len != 3 || dtype[2] != (char)('0' + size) || (dtype[0] != '<' && (dtype[0] != '|' || size != 1))) return -EINVAL;
    unsigned unused = 64 - 8 * size;
    switch (dtype[1]) {
    case 'f':
        if (size == 1) return -EINVAL;
        if (size == 8) memcpy(&number->real, &word, 8);
        if (size == 4) number->real = tc_single_(word);
        if (size == 2) number->real = tc_half_(word);
        return TC_DOUBLE_;
    case 'b':
        if (size != 1) return -EINVAL;
        number->whole = (word & 0xff) != 0;
        return TC_WHOLE_;
    case 'u':
        word = word << unused >> unused;
        if (word > INT64_MAX) return -EOVERFLOW;
        number->whole = (int64_t)word;
        return TC_WHOLE_;
    case 'i':
        word <<= unused;
        memcpy(&number->whole, &word, 8);
        number->whole >>= unused; /* gcc and clang shift in the sign */
        return TC_WHOLE_;
    default: return -EINVAL;
    }
}

/* The number at a key as a double or a whole number, or an error. */
static inline int tc_number_at_(tc_reader *r, tc_key *key, tc_number_ *number) {
    if (key->kind == TC_SCALAR) return tc_scalar_(r, key, number);
    if (key->kind != TC_INT && key->kind != TC_BOOL && key->kind != TC_FLOAT) return tc_give_up_(key);
    uint64_t word = r->values_[key->value_at];
    if (key->kind == TC_BOOL) word = word != 0;
    memcpy(&number->real, &word, 8);
    memcpy(&number->whole, &word, 8);
    return key->kind == TC_FLOAT ? TC_DOUBLE_ : TC_WHOLE_;
}

/* Whether a key leads to a number of this kind, and is up to date. That is the usual case; the rest stands apart, so that little
 * code gets into the caller's. */
static inline int tc_leads_to_(const tc_reader *r, tc_key *key, uint32_t kind) {
    key->error = 0;
    return key->serial == r->serial_ && key->kind == kind;
}

static inline void tc_find_again_(tc_reader *r, tc_key *key) {
    if (!TC_LIKELY_(key->serial == r->serial_)) tc_resolve_(r, key);
    key->error = 0;
}

TC_APART_ double tc_other_f64_(tc_reader *r, tc_key *key, double fallback) {
    tc_number_ number = {0, 0};
    tc_find_again_(r, key);
    int kind = tc_number_at_(r, key, &number);
    if (kind >= 0) return kind == TC_DOUBLE_ ? number.real : (double)number.whole;
    key->error = kind;
    return fallback;
}

TC_APART_ int64_t tc_other_i64_(tc_reader *r, tc_key *key, int64_t fallback) {
    tc_number_ number = {0, 0};
    tc_find_again_(r, key);
    int kind = tc_number_at_(r, key, &number);
    if (kind == TC_WHOLE_) return number.whole;
    if (kind == TC_DOUBLE_ && number.real >= -9223372036854775808.0 && number.real < 9223372036854775808.0 &&
        (double)(int64_t)number.real == number.real)
        return (int64_t)number.real;
    key->error = kind < 0 ? kind : -EINVAL;
    return fallback;
}

TC_APART_ int tc_other_bool_(tc_reader *r, tc_key *key, int fallback) {
    tc_number_ number = {0, 0};
    tc_find_again_(r, key);
    int kind = tc_number_at_(r, key, &number);
    if (kind == TC_WHOLE_) return number.whole != 0;
    key->error = kind < 0 ? kind : -EINVAL;
    return fallback;
}

static inline double tc_f64(tc_reader *r, tc_key *key, double fallback) {
    double number;
    if (!TC_LIKELY_(tc_leads_to_(r, key, TC_FLOAT))) return tc_other_f64_(r, key, fallback);
    memcpy(&number, &r->values_[key->value_at], 8);
    return number;
}

static inline int64_t tc_i64(tc_reader *r, tc_key *key, int64_t fallback) {
    int64_t number;
    if (!TC_LIKELY_(tc_leads_to_(r, key, TC_INT))) return tc_other_i64_(r, key, fallback);
    memcpy(&number, &r->values_[key->value_at], 8);
    return number;
}

static inline int tc_bool(tc_reader *r, tc_key *key, int fallback) {
    return TC_LIKELY_(tc_leads_to_(r, key, TC_BOOL)) ? r->values_[key->value_at] != 0 : tc_other_bool_(r, key, fallback);
}

static inline const unsigned char *tc_blob_at_(const tc_reader *r, const tc_key *key, size_t *len) {
    const tc_copy_ *c = &r->copies_[r->copy_];
    *len = c->places[key->blob].len;
    return (const unsigned char *)c->blobs + c->places[key->blob].at;
}

static inline const char *tc_str(tc_reader *r, tc_key *key, const char *fallback, size_t *len) {
    tc_find_again_(r, key);
    if (key->kind == TC_STR) {
        const unsigned char *text = tc_blob_at_(r, key, len);
        if (tc_is_utf8_(text, *len)) return (const char *)text;
        key->error = -EBADMSG;
    } else {
        tc_give_up_(key);
    }
    *len = fallback == NULL ? 0 : strlen(fallback);
    return fallback;
}

static inline const void *tc_bytes(tc_reader *r, tc_key *key, const void *fallback, size_t *len) {
    tc_find_again_(r, key);
    if (key->kind == TC_BYTES) return tc_blob_at_(r, key, len);
    tc_give_up_(key);
    return fallback;
}

static inline int tc_view(tc_reader *r, tc_key *key, tc_array *array) {
    size_t len = 0;
    tc_find_again_(r, key);
    if (key->kind != TC_ARRAY && key->kind != TC_TENSOR && key->kind != TC_SCALAR) return tc_give_up_(key);
    array->data = key->kind == TC_SCALAR ? (const void *)(r->values_ + key->value_at) : tc_blob_at_(r, key, &len);
    array->shape = r->values_ + key->value_at;
    array->ndim = key->ndim;
    array->count = 1;
    for (size_t axis = 0; axis < array->ndim; axis++)
        if (__builtin_mul_overflow(array->count, array->shape[axis], &array->count)) array->count = 0; /* elements without bytes */
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
    case -EINVAL: return "the value is of another kind, or the path is not valid";
    default: return "unknown error";
    }
}

#ifdef __cplusplus
}
#endif
#endif
