/* traincast_scores.h: count episodes on a run's scoreboard from C11 or C++17, on Linux.
 *
 * Needs traincast.h beside it, which it includes; nothing to link.
 *
 *     static tc_scores scores;                              // one per thread
 *
 *     tc_scores_open(&scores, "my-run", 0, sizeof scores);  // NULL: the name in TRAINCAST_NAME
 *
 *     void env_episode_over(int task, int success, double episode_return, uint64_t length) {
 *         tc_record(&scores, task, success, episode_return, length);
 *     }
 *
 * The learner creates the scoreboard (traincast.scores.Scoreboard in Python) and collects from it. An episode is recorded
 * whole or not at all, and counts exactly once, whatever is killed. Recording never waits, and makes no system call except
 * while there is no scoreboard. A forked child that goes on with its parent's copy takes a block of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TRAINCAST_SCORES_H
#define TRAINCAST_SCORES_H

#include "traincast.h"

#include <math.h>
#include <sys/resource.h>

#if !defined(MAP_ANONYMOUS) || !defined(MADV_NORMAL)
#error "traincast_scores.h needs madvise(), which strict POSIX hides: compile with -D_DEFAULT_SOURCE"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- constants: generated from rust/core/src/layout.rs -------------------------------------------------------------------- */
/* begin constants of scores */
#define TC_SCORES_MAGIC_WORD UINT64_C(0x6f63736e69617274)
#define TC_SCORES_LAYOUT_VERSION 1
#define TC_SCORES_MAX_TASKS 1048576
#define TC_SCORES_MAX_BLOCKS 16384
#define TC_SCORES_MAGIC 0
#define TC_SCORES_LAYOUT 1
#define TC_SCORES_TASKS 2
#define TC_SCORES_BLOCK_BYTES 3
#define TC_SCORES_ENDED 6
#define TC_SCORES_PID 0
#define TC_SCORES_NODE 3
#define TC_SCORES_SEQS 8
#define TC_SCORES_COPY 8
#define TC_SCORES_EPISODES 0
#define TC_SCORES_SUCCESSES 1
#define TC_SCORES_RETURNS 2
#define TC_SCORES_SQUARES 3
#define TC_SCORES_LENGTHS 4
#define TC_SCORES_LAST 5
/* end constants of scores */

/* A block of a scoreboard. Leave its members alone. */
typedef struct tc_scores {
    uint64_t *words_; /* the mapped file; NULL: none */
    size_t bytes_;
    uint64_t *block_;
    uint64_t *own_; /* a word that becomes 0 in a forked child */
    size_t tasks_;
    int fd_;
    uint64_t next_look_ns_;
    unsigned looks_;
    tc_reader place_; /* name and directory; no channel is read */
} tc_scores;

/* Opens a run's scoreboard by name. Returns 0, even if there is none yet; -EINVAL: not a valid name, or sizeof_scores is that of
 * another version of this header; -ENAMETOOLONG. */
static inline int tc_scores_open(tc_scores *scores, const char *name, uint16_t policy_id, size_t sizeof_scores);

/* The same, in a directory of your choice. */
static inline int tc_scores_open_at(tc_scores *scores, const char *directory, const char *name, uint16_t policy_id,
                                    size_t sizeof_scores);

/* Records an episode. 1: recorded; 0: there is no scoreboard, because the learner has not created one yet or has ended it; -EINVAL:
 * there is no such task, or the return is not finite; -EPROTO: the file has another layout; -EBADMSG: it is damaged; -EACCES;
 * -ENOSPC: no room for another block. */
static inline int tc_record(tc_scores *scores, size_t task, int success, double episode_return, uint64_t length);

/* How many tasks there are; 0 while there is no scoreboard. */
static inline size_t tc_scores_tasks(const tc_scores *scores);

/* The last error, in words. */
static inline const char *tc_scores_error(const tc_scores *scores);

/* Releases the block; what was recorded stays. Closing twice is allowed, and so is closing a tc_scores of zeros. */
static inline void tc_scores_close(tc_scores *scores);

/* --- implementation ------------------------------------------------------------------------------------------------------- */

enum {
    TC_OFD_SETLK_ = 37,         /* F_OFD_SETLK */
    TC_SCORES_EAGER_ = 100,     /* this many look-ups are not rate-limited */
    TC_SCORES_PIECE_ = 1 << 18, /* bytes that one call allocates */
};

static inline void tc_scores_forget_(tc_scores *s) {
    if (s->words_ != NULL) munmap(s->words_, s->bytes_);
    if (s->own_ != NULL) munmap(s->own_, TC_PAGE);
    if (s->fd_ >= 0 && s->place_.name_[0] != '\0') close(s->fd_); /* in a tc_scores of zeros, 0 is not ours */
    s->words_ = s->block_ = s->own_ = NULL;
    s->fd_ = -1;
    s->tasks_ = 0;
}

static inline size_t tc_scores_copies_(size_t tasks) { return (TC_SCORES_SEQS + tasks + 7) / 8 * 8; }

static inline size_t tc_scores_block_bytes_(size_t tasks) {
    size_t bytes = (tc_scores_copies_(tasks) + 2 * TC_SCORES_COPY * tasks) * 8;
    return (bytes + TC_PAGE - 1) / TC_PAGE * TC_PAGE;
}

/* Opens the scoreboard's file in a directory. A descriptor, or an error. */
static inline int tc_scores_open_file_(tc_scores *s, const char *directory) {
    char name[TC_NAME_BYTES + 16];
    struct stat of;
    tc_reader *r = &s->place_;
    int folder = tc_open_folder_(r, directory);
    if (folder < 0) return folder;
    snprintf(name, sizeof name, "%s@%u.scores", r->name_, (unsigned)r->policy_id_);
    int fd = -1;
    do fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    int error = fd < 0 || fstat(fd, &of) != 0 ? errno : 0;
    close(folder);
    if (error == 0 && of.st_nlink == 0) error = ENOENT; /* replaced or removed just now */
    if (error == 0 && (!S_ISREG(of.st_mode) || of.st_uid != geteuid() || (of.st_mode & 077) != 0 || of.st_nlink > 1)) error = EBADMSG;
    if (error == 0) return fd;
    if (fd >= 0) close(fd);
    if (error == ENOENT) return tc_fail_(r, -ENOENT, "there is no scoreboard");
    if (error == EBADMSG || error == ELOOP || error == ENXIO || error == EISDIR)
        return tc_fail_(r, -EBADMSG, "the scoreboard's file was not created by traincast");
    return tc_fail_(r, -error, "the scoreboard's file cannot be opened");
}

/* Maps the whole file, again if it has grown, and checks its header. */
static inline int tc_scores_map_(tc_scores *s) {
    struct stat of;
    tc_reader *r = &s->place_;
    if (s->words_ != NULL) munmap(s->words_, s->bytes_);
    s->words_ = NULL;
    if (fstat(s->fd_, &of) != 0) return tc_fail_(r, -errno, "the scoreboard's file cannot be examined");
    if (of.st_size < (off_t)TC_HEADER_BYTES || of.st_size % TC_PAGE != 0)
        return tc_fail_(r, -EBADMSG, "the scoreboard's file was not created by traincast");
    void *memory = mmap(NULL, (size_t)of.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd_, 0);
    if (memory == MAP_FAILED) return tc_fail_(r, -errno, "the scoreboard's file cannot be mapped");
    s->words_ = (uint64_t *)memory;
    s->bytes_ = (size_t)of.st_size;
    const uint64_t *words = s->words_;
    uint64_t tasks = tc_relaxed_(&words[TC_SCORES_TASKS]);
    if (tc_relaxed_(&words[TC_SCORES_MAGIC]) != TC_SCORES_MAGIC_WORD || tc_relaxed_(&words[TC_SCORES_LAYOUT]) != TC_SCORES_LAYOUT_VERSION)
        return tc_fail_(r, -EPROTO, "the scoreboard's file has another layout: learner and env need compatible versions of traincast");
    if (tasks == 0 || tasks > TC_SCORES_MAX_TASKS ||
        tc_relaxed_(&words[TC_SCORES_BLOCK_BYTES]) != tc_scores_block_bytes_((size_t)tasks) || !tc_same_identity_(r, words))
        return tc_fail_(r, -EBADMSG, "the scoreboard's file is damaged: its header is invalid");
    s->tasks_ = (size_t)tasks;
    return 0;
}

/* Allocates storage for a part of the file: 0, or an errno. In pieces, because an interrupted call frees what it had allocated. */
static inline int tc_scores_extend_(int fd, size_t from, size_t to) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && to > limit.rlim_cur) return EFBIG; /* otherwise SIGXFSZ would end the process */
    while (from < to) {
        size_t piece = to - from < TC_SCORES_PIECE_ ? to - from : (size_t)TC_SCORES_PIECE_;
        int error = posix_fallocate(fd, (off_t)from, (off_t)piece);
        if (error != 0 && error != EINTR) return error;
        if (error == 0) from += piece;
    }
    return 0;
}

/* Takes a block by locking its first byte. The lock lasts as long as the descriptor is open. */
static inline int tc_scores_take_(tc_scores *s) {
    tc_reader *r = &s->place_;
    size_t bytes = tc_scores_block_bytes_(s->tasks_);
    for (size_t block = 0; block < TC_SCORES_MAX_BLOCKS; block++) {
        off_t at = (off_t)(TC_HEADER_BYTES + block * bytes);
        if (s->bytes_ < (size_t)at + bytes) { /* files are only ever extended: two processes that extend one at once add the same block */
            int error = tc_scores_extend_(s->fd_, (size_t)at, (size_t)at + bytes);
            if (error) return tc_fail_(r, -error, "there is no room for another block of the scoreboard");
            error = tc_scores_map_(s);
            if (error) return error;
            if (tc_scores_block_bytes_(s->tasks_) != bytes || s->bytes_ < (size_t)at + bytes)
                return tc_fail_(r, -EBADMSG, "the scoreboard's file is damaged: its tasks have changed, or it has become shorter");
        }
        uint64_t *words = s->words_ + (size_t)at / 8;
        if (tc_relaxed_(&words[TC_SCORES_NODE]) != 0) continue; /* the block holds another node's totals */
        struct flock lock;
        memset(&lock, 0, sizeof lock);
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = at;
        lock.l_len = 1;
        if (fcntl(s->fd_, TC_OFD_SETLK_, &lock) == 0) {
            if (tc_relaxed_(&words[TC_SCORES_NODE]) != 0) { /* it has just become another node's */
                lock.l_type = F_UNLCK;
                (void)fcntl(s->fd_, TC_OFD_SETLK_, &lock);
                continue;
            }
            s->block_ = words;
            __atomic_store_n(&s->block_[TC_SCORES_PID], (uint64_t)getpid(), __ATOMIC_RELAXED);
            return 0;
        }
        if (errno != EAGAIN && errno != EACCES && errno != EINTR) return tc_fail_(r, -errno, "the scoreboard's file cannot be locked");
    }
    return tc_fail_(r, -ENOSPC, "the scoreboard has no block left for another process");
}

/* Maps a page that becomes zero in forked children: they must not write to their parent's block. */
static inline int tc_scores_mark_(tc_scores *s) {
    void *page = mmap(NULL, TC_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return tc_fail_(&s->place_, -ENOMEM, "no memory for a scoreboard");
    s->own_ = (uint64_t *)page;
    if (madvise(page, TC_PAGE, 18 /* MADV_WIPEONFORK */) != 0)
        return tc_fail_(&s->place_, -ENOSYS, "this kernel cannot detect forked children (it needs MADV_WIPEONFORK, Linux 4.14)");
    *s->own_ = 1;
    return 0;
}

/* Looks for the scoreboard: before the first episode, after a fork, and after the learner has ended the last one. 0, or an error. */
TC_COLD_ int tc_scores_look_(tc_scores *s) {
    static const char *const shared[] = {"/dev/shm", "/tmp"};
    tc_reader *r = &s->place_;
    int had = s->words_ != NULL;
    if (r->name_[0] == '\0') return tc_fail_(r, -EBADF, "the scoreboard is closed, or was never opened");
    tc_scores_forget_(s);
    if (had) s->looks_ = 0;
    if (s->looks_ >= TC_SCORES_EAGER_ && tc_tick_ns_() < s->next_look_ns_) return -ENOENT;
    s->looks_ += s->looks_ < TC_SCORES_EAGER_;
    s->next_look_ns_ = tc_tick_ns_() + 20000000u;
    unsigned places = r->directory_[0] != '\0' ? 1 : 2;
    for (unsigned place = 0; place < places && s->fd_ < 0; place++) {
        char path[64];
        snprintf(path, sizeof path, "%s/traincast-%lu", shared[place], r->user_);
        int fd = tc_scores_open_file_(s, places == 1 ? r->directory_ : path);
        if (fd >= 0)
            s->fd_ = fd;
        else if (fd != -ENOENT && !(place > 0 && fd == -EACCES))
            return fd;
    }
    if (s->fd_ < 0) return -ENOENT;
    int error = tc_scores_map_(s);
    if (error == 0 && tc_relaxed_(&s->words_[TC_SCORES_ENDED]) != 0) error = tc_fail_(r, -ENOENT, "the scoreboard has ended");
    if (error == 0) error = tc_scores_take_(s);
    if (error == 0) error = tc_scores_mark_(s);
    if (error) tc_scores_forget_(s);
    return error;
}

static inline uint64_t tc_scores_more_(uint64_t word, double more) {
    double sum;
    memcpy(&sum, &word, 8);
    sum += more;
    memcpy(&word, &sum, 8);
    return word;
}

static inline void tc_scores_set_(uint64_t *row, unsigned word, uint64_t value) {
    __atomic_store_n(&row[word], value, __ATOMIC_RELAXED);
}

static inline int tc_record(tc_scores *s, size_t task, int success, double episode_return, uint64_t length) {
    if (s->words_ == NULL || *s->own_ == 0 || tc_relaxed_(&s->words_[TC_SCORES_ENDED]) != 0) {
        int error = tc_scores_look_(s);
        if (error) return error == -ENOENT ? 0 : error;
    }
    if (task >= s->tasks_) return tc_fail_(&s->place_, -EINVAL, "the scoreboard has no such task");
    if (!(fabs(episode_return) <= 1e150)) /* false for NaN, too; the sum of the squares stays finite */
        return tc_fail_(&s->place_, -EINVAL, "the return of an episode must be finite, and at most 1e150");
    /* The protocol of rust/core/src/ring/tally.rs: W1 to W3 are its steps, and cases A to E there show that it is correct. */
    uint64_t *seq = &s->block_[TC_SCORES_SEQS + task];
    uint64_t *copies = s->block_ + tc_scores_copies_(s->tasks_) + 2 * TC_SCORES_COPY * task;
    uint64_t written = tc_relaxed_(seq), score;
    const uint64_t *row = copies + (written & 1) * TC_SCORES_COPY;
    uint64_t *next = copies + (~written & 1) * TC_SCORES_COPY;
    memcpy(&score, &episode_return, 8);
    /* Word by word: with an array in between, gcc loads pairs of words that were stored singly, which takes three times as long. */
    __atomic_thread_fence(__ATOMIC_RELEASE); /* W1 */
    tc_scores_set_(next, TC_SCORES_EPISODES, tc_relaxed_(&row[TC_SCORES_EPISODES]) + 1); /* W2, to W3 */
    tc_scores_set_(next, TC_SCORES_SUCCESSES, tc_relaxed_(&row[TC_SCORES_SUCCESSES]) + (success != 0));
    tc_scores_set_(next, TC_SCORES_RETURNS, tc_scores_more_(tc_relaxed_(&row[TC_SCORES_RETURNS]), episode_return));
    tc_scores_set_(next, TC_SCORES_SQUARES, tc_scores_more_(tc_relaxed_(&row[TC_SCORES_SQUARES]), episode_return * episode_return));
    tc_scores_set_(next, TC_SCORES_LENGTHS, tc_relaxed_(&row[TC_SCORES_LENGTHS]) + length);
    tc_scores_set_(next, TC_SCORES_LAST, score);
    __atomic_store_n(seq, written + 1, __ATOMIC_RELEASE); /* W3 */
    return 1;
}

static inline int tc_scores_open_at(tc_scores *s, const char *directory, const char *name, uint16_t policy_id, size_t sizeof_scores) {
    if (sizeof_scores != sizeof *s) return -EINVAL; /* nothing is written: the caller's object may be smaller */
    memset(s, 0, sizeof *s);
    s->fd_ = -1;
    int error = tc_set_name_(&s->place_, name != NULL ? name : getenv("TRAINCAST_NAME"), policy_id);
    return error ? error : tc_set_directory_(&s->place_, directory);
}

static inline int tc_scores_open(tc_scores *s, const char *name, uint16_t policy_id, size_t sizeof_scores) {
    return tc_scores_open_at(s, NULL, name, policy_id, sizeof_scores);
}

static inline size_t tc_scores_tasks(const tc_scores *s) { return s->tasks_; }

static inline const char *tc_scores_error(const tc_scores *s) { return tc_error(&s->place_); }

static inline void tc_scores_close(tc_scores *s) {
    tc_scores_forget_(s);
    memset(s, 0, sizeof *s);
    s->fd_ = -1;
    s->place_.error_ = "the scoreboard is closed";
}

#ifdef __cplusplus
}
#endif
#endif
