// Package basebackup is the command line of polar_basebackup: every option of
// pg_basebackup 11 to 18 and of polar_basebackup 11 and 15, and those of this
// program, with the checks, messages and exit statuses of the originals.
//
// Checks run in the order of the original's main(), so that of several mistakes
// the same one is reported. All of them run before a server is contacted, and so
// the wording is that of the newest original: which server it is, and what the
// original of its version would say, is not known yet.
//
// Sources: PostgreSQL's src/bin/pg_basebackup/pg_basebackup.c,
// src/common/compression.c, src/fe_utils/option_utils.c, and the same files in
// PolarDB for PostgreSQL.
package basebackup
