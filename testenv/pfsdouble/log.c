//go:build ignore

#include "double.h"
#include <stdarg.h>
#include <sys/time.h>
#include <time.h>

/* fprintf on the C library's stderr, so that a program may point stderr elsewhere as it can with the SDK. */
void sdk_log(const char *level, const char *func, int line, const char *fmt, ...)
{
    int saved = errno;
    struct timeval tv;
    struct tm tm;
    char when[64], text[5000];
    va_list ap;

    gettimeofday(&tv, NULL);
    localtime_r(&tv.tv_sec, &tm);
    strftime(when, sizeof when, "%b %d %H:%M:%S", &tm);
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "[PFSD_SDK %s %s.%06ld][%d]%s %d: %s\n", level, when, (long)tv.tv_usec, getpid(), func, line, text);
    errno = saved;
}
