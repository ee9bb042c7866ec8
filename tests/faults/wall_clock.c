/* Puts the wall clock forward or back for one process, and leaves the monotonic one alone.
 *
 *     cc -shared -fPIC -O1 -o wall_clock.so wall_clock.c -ldl
 *     LD_PRELOAD=wall_clock.so WALL_CLOCK=FILE program
 *
 * FILE holds the seconds to add; it is read at every call, so that a clock can jump under a running program. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
    const char *path = getenv("WALL_CLOCK");
    char text[32] = {0};
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    if (read(file, text, sizeof text - 1) < 0)
        text[0] = 0;
    close(file);
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME)
        now->tv_sec += offset();
    return failed;
}
