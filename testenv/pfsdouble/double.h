/*
 * libpfsd_double: the C interface of PolarDB FileSystem's SDK (libpfsd, meta version 2) over a plain directory. README.md tells what it
 * imitates and which faults it can play.
 */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* Only the SDK's own names are visible from outside. */
#define API __attribute__((visibility("default")))
#pragma GCC visibility push(hidden)

/* Limits and constants of PFS. */
#define MAX_IO (4 << 20)
#define BLOCK (4 << 20)
#define SECTOR 4096
#define MAX_PATH 4096
#define MAX_PBD 64
#define MAX_FILES 102400
#define FD_BIT (1 << 30)
#define ETOOMANY 1001 /* EPFS_FILE_2MANY: inodes or direntries are used up */
#define FLAG_RD 0x1
#define FLAG_WR 0x2

/* The one mount of this process. */
struct mount {
    bool on;
    bool threads; /* pfsd_set_mode(0) */
    char pbd[MAX_PBD];
    int flags, hostid;
    int root; /* directory that stands for the PBD */
    char pidfile[MAX_PATH + 64];
    int pidfd;
};
extern struct mount mnt;

/* log.c: a line on the C stderr as the SDK writes it. Keeps errno. */
void sdk_log(const char *level, const char *func, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
#define INF(...) sdk_log("INF", __func__, __LINE__, __VA_ARGS__)
#define ERR(...) sdk_log("ERR", __func__, __LINE__, __VA_ARGS__)

/* faults.c */
bool fault_on(const char *key);                      /* key is set, and not to 0 */
long fault_number(const char *key, long otherwise);
bool fault_names(const char *key, const char *value); /* value is in key's comma separated list, or the list is "all" */
const char *double_root(void);                       /* PFSD_DOUBLE_ROOT; NULL when it is not set */
int enter(const char *call); /* waits while pfsd is down; -1 with errno when a fault hits this call. Always pair it with leave. */
void leave(bool ok); /* a call that went well leaves errno as it found it */
int calls_inside(void);

/* daemon.c: what pfsd itself does: its liveness lock, its clients. */
void daemon_poll(void);
int daemon_connect(const char *cluster, const char *pbd, int hostid, int flags);
int daemon_disconnect(void);

/* names.c */
int name_absolute(const char *path, char *abs);        /* -1 with errno (0 for a relative path without a working directory) */
int name_pbd(const char *abs, char *pbd);              /* -1 when path has no /pbd/ */
int name_resolve(const char *abs, char *rel, bool *slash); /* path below the PBD's directory, "." for the root */
bool name_is_root(const char *rel);
int check_mounted(const char *pbd, const char *func);
int check_writable(void);

/* files.c: the table of open files. */
struct file {
    pthread_rwlock_t lock;
    int fd; /* of the file below the directory; -1: free */
    int flags;
    bool dir;
    off_t pos;
    int next; /* free list */
};
int file_alloc(void);
void file_opened(int slot, int fd, int flags, bool dir); /* fills a slot of file_alloc */
void file_release(int slot);
struct file *file_get(int fd, bool exclusive, const char *func); /* NULL with EBADF; locked */
void file_put(struct file *f);
void files_close_all(void);
int file_alive(struct file *f, struct stat *st); /* -1 ENOENT when the file was unlinked or replaced */
void fill_stat(struct stat *st, int fd);

/* space.c: 4 MiB blocks, inodes and direntries, counted for all processes of one PBD. */
int space_open(const char *root, const char *pbd, int dirfd);
void space_close(void);
void space_lock(void);
void space_unlock(void);
int space_take_name(const char *name, bool inode); /* -1 with errno 1001 */
void space_give_name(const char *name, bool inode);
int64_t space_blocks(int fd, const struct stat *st);
int space_alloc(int fd, off_t off, off_t len, bool *changed); /* -1 ENOSPC, nothing taken */
void space_cut(int fd, off_t size);                   /* gives blocks from size up back */
void space_drop(int64_t blocks);
void space_init(int fd);

/* order.c: directories list their entries in the order in which names were added. */
void order_add(ino_t dir, const char *name);
void order_remove(ino_t dir, const char *name);
uint64_t order_of(ino_t dir, const char *name);
#pragma GCC visibility pop
