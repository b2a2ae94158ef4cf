//go:build ignore

#include "double.h"

/* Sequence numbers of the names that this process added; names that were there before have 0. */
#define BUCKETS 8192
struct name { struct name *next; ino_t dir; uint64_t seq; char text[]; };
static struct name *buckets[BUCKETS];
static pthread_mutex_t order_mtx = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last;

static struct name **slot(ino_t dir, const char *name)
{
    uint64_t h = dir * 1099511628211u;
    for (const char *p = name; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    struct name **n = &buckets[(h ^ h >> 29) % BUCKETS];
    while (*n && ((*n)->dir != dir || strcmp((*n)->text, name) != 0))
        n = &(*n)->next;
    return n;
}

void order_remove(ino_t dir, const char *name)
{
    pthread_mutex_lock(&order_mtx);
    struct name **n = slot(dir, name), *gone = *n;
    if (gone) {
        *n = gone->next;
        free(gone);
    }
    pthread_mutex_unlock(&order_mtx);
}

void order_add(ino_t dir, const char *name)
{
    order_remove(dir, name);
    pthread_mutex_lock(&order_mtx);
    struct name *n = malloc(sizeof *n + strlen(name) + 1), **at = slot(dir, name);
    if (n) {
        *n = (struct name){.next = *at, .dir = dir, .seq = ++last};
        strcpy(n->text, name);
        *at = n;
    }
    pthread_mutex_unlock(&order_mtx);
}

uint64_t order_of(ino_t dir, const char *name)
{
    if (strcmp(name, ".pfs-paxos") == 0)
        return 0;
    if (strcmp(name, ".pfs-journal") == 0)
        return 1;
    pthread_mutex_lock(&order_mtx);
    struct name *n = *slot(dir, name);
    uint64_t seq = n ? n->seq + 2 : 2;
    pthread_mutex_unlock(&order_mtx);
    return seq;
}
