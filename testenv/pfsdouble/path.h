/* What the calls that take paths share. */
#pragma once
#include "double.h"

/* One name on its way through a call. */
struct target {
    char rel[MAX_PATH + 2]; /* below the PBD's directory */
    char parent[MAX_PATH + 2];
    const char *base; /* last element */
    bool slash, root;
};

#pragma GCC visibility push(hidden)
int split(const char *abs, struct target *t);
/* The checks that the SDK makes before it asks pfsd; abs gets the absolute path. */
int begin(const char *path, const char *func, bool write, char *abs);
/* leave, with a log line for errors other than ENOENT; returns r. */
int finish(int r, const char *what, const char *path);
ino_t ino_of(const char *rel);
int kind_of(const char *rel, struct stat *st); /* 1 file, 2 directory, -1 with errno */
#pragma GCC visibility pop
