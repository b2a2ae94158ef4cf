/* Calls of libpfsd through function pointers of our own. Each returns what the library returned, or -errno (-4095 when it left none). */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Loads the library; 0, or -1 with the reason in err. */
int polarcast_pfsd_load(const char *path, char *err, size_t size);
const char *polarcast_pfsd_version(uint64_t *meta);
/* Makes the C library's stderr a stream on fd, with a line at a time. */
int polarcast_pfsd_stderr(int fd);
void polarcast_pfsd_log(const char *line);

void polarcast_pfsd_prepare(const char *run_dir, int timeout_ms);
int64_t polarcast_pfsd_mount(const char *cluster, const char *pbd, int hostid, int flags);
int64_t polarcast_pfsd_umount(const char *pbd);
int64_t polarcast_pfsd_open(const char *path, int flags);
int64_t polarcast_pfsd_close(int fd);
int64_t polarcast_pfsd_pread(int fd, void *buf, size_t len, int64_t off);
int64_t polarcast_pfsd_pwrite(int fd, const void *buf, size_t len, int64_t off);
int64_t polarcast_pfsd_ftruncate(int fd, int64_t size);
int64_t polarcast_pfsd_fallocate(int fd, int64_t off, int64_t len);
struct polarcast_pfsd_stat { int64_t dir, size, blocks, ino, mtime; };
int64_t polarcast_pfsd_stat_path(const char *path, struct polarcast_pfsd_stat *out);
int64_t polarcast_pfsd_stat_fd(int fd, struct polarcast_pfsd_stat *out);
int64_t polarcast_pfsd_mkdir(const char *path);
int64_t polarcast_pfsd_rmdir(const char *path);
int64_t polarcast_pfsd_unlink(const char *path);
int64_t polarcast_pfsd_rename(const char *from, const char *to);
/* Lists a whole directory: for each entry one byte (1 file, 2 directory) and its name with a NUL. The caller frees *list. */
int64_t polarcast_pfsd_list(const char *path, char **list, size_t *len);
