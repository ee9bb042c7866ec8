/* A libnvidia-ml.so.1 for machines without a GPU, loaded by the real nvidia-ml-py.

   Build:  cc -shared -fPIC -O1 -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.1 nvml_stand_in.c
   Every answer comes from the file that NVML_STAND_IN names, read anew at each
   call: `key=value` lines, the last one wins.

     count=2                     GPUs
     gpu0.uuid=GPU-…             and .name .used .total .util .power .temp .procs
     gpu0.mig1.uuid=MIG-…        an instance; the GPU is divided if it has `gpu0.mig=1`
     fail.FUNCTION=15            this function fails with this code, on every GPU
     gpu0.fail.FUNCTION=4        on one GPU;  gpu0.fail=15: everything on it

   A handle is 1 + 16 * GPU + (instance + 1). */
#define _DEFAULT_SOURCE /* strsep */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *handle;
typedef int status;
enum { SUCCESS = 0, UNINITIALISED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };

static int initialised;

static int look_up(const char *key, char *value, size_t size) {
    const char *path = getenv("NVML_STAND_IN");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[512];
    int found = 0;
    size_t length = strlen(key);
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, key, length) == 0 && line[length] == '=') {
            snprintf(value, size, "%s", line + length + 1);
            found = 1;
        }
    }
    fclose(file);
    return found;
}

static int gpu_of(handle h) { return ((intptr_t)h - 1) / 16; }
static int instance_of(handle h) { return ((intptr_t)h - 1) % 16 - 1; }
static handle handle_of(int gpu, int instance) { return (handle)(intptr_t)(1 + 16 * gpu + instance + 1); }

static int count(void) {
    char value[32];
    return look_up("count", value, sizeof value) ? atoi(value) : 0;
}

static int look_up_of(handle h, const char *name, char *value, size_t size) {
    char key[128];
    if (instance_of(h) >= 0)
        snprintf(key, sizeof key, "gpu%d.mig%d.%s", gpu_of(h), instance_of(h), name);
    else
        snprintf(key, sizeof key, "gpu%d.%s", gpu_of(h), name);
    return look_up(key, value, size);
}

static status failure(handle h, const char *function) {
    char key[128], value[32];
    snprintf(key, sizeof key, "fail.%s", function);
    if (look_up(key, value, sizeof value)) return atoi(value);
    if (!initialised) return UNINITIALISED;
    if (!h) return SUCCESS;
    if (gpu_of(h) >= count()) return INVALID;
    snprintf(key, sizeof key, "gpu%d.fail", gpu_of(h));
    if (look_up(key, value, sizeof value)) return atoi(value);
    snprintf(key, sizeof key, "gpu%d.fail.%s", gpu_of(h), function);
    return look_up(key, value, sizeof value) ? atoi(value) : SUCCESS;
}

#define CHECK(h) do { status failed = failure(h, __func__); if (failed) return failed; } while (0)

static status text(const char *value, char *out, unsigned size) {
    if (strlen(value) + 1 > size) return TOO_SMALL;
    strcpy(out, value);
    return SUCCESS;
}

static status text_of(handle h, const char *name, char *out, unsigned size) {
    char value[256];
    return look_up_of(h, name, value, sizeof value) ? text(value, out, size) : NOT_SUPPORTED;
}

static status number_of(handle h, const char *name, unsigned *out) {
    char value[64];
    if (!look_up_of(h, name, value, sizeof value)) return NOT_SUPPORTED;
    *out = strtoul(value, NULL, 0);
    return SUCCESS;
}

static status begin(void) {
    char value[32];
    if (look_up("fail.nvmlInit", value, sizeof value)) return atoi(value);
    initialised = 1;
    return SUCCESS;
}

status nvmlInit_v2(void) { return begin(); }
status nvmlInitWithFlags(unsigned flags) { (void)flags; return begin(); }
status nvmlShutdown(void) { initialised = 0; return SUCCESS; }

const char *nvmlErrorString(status code) {
    switch (code) {
    case 4: return "Insufficient Permissions";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 13: return "Function Not Found";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

status nvmlSystemGetDriverVersion(char *out, unsigned size) { CHECK(NULL); return text("580.65.06", out, size); }
status nvmlSystemGetCudaDriverVersion(int *out) { CHECK(NULL); *out = 13020; return SUCCESS; }
status nvmlDeviceGetCount_v2(unsigned *out) { CHECK(NULL); *out = count(); return SUCCESS; }

status nvmlDeviceGetHandleByIndex_v2(unsigned index, handle *out) {
    CHECK(NULL);
    if ((int)index >= count()) return INVALID;
    *out = handle_of(index, -1);
    return failure(*out, __func__);
}

status nvmlDeviceGetHandleByUUID(const char *uuid, handle *out) {
    CHECK(NULL);
    for (int gpu = 0; gpu < count(); gpu++)
        for (int instance = -1; instance < 8; instance++) {
            char value[256];
            handle h = handle_of(gpu, instance);
            if (look_up_of(h, "uuid", value, sizeof value) && strcmp(value, uuid) == 0) {
                *out = h;
                return failure(h, __func__);
            }
        }
    return NOT_FOUND;
}

status nvmlDeviceGetName(handle h, char *out, unsigned size) { CHECK(h); return text_of(h, "name", out, size); }
status nvmlDeviceGetUUID(handle h, char *out, unsigned size) { CHECK(h); return text_of(h, "uuid", out, size); }
status nvmlDeviceGetIndex(handle h, unsigned *out) { CHECK(h); *out = gpu_of(h); return SUCCESS; }
status nvmlDeviceGetPowerUsage(handle h, unsigned *out) { CHECK(h); return number_of(h, "power", out); }

status nvmlDeviceGetTemperature(handle h, int sensor, unsigned *out) {
    (void)sensor;
    CHECK(h);
    return number_of(h, "temp", out);
}

/* nvidia-ml-py asks for the temperature through this one where it exists. */
status nvmlDeviceGetTemperatureV(handle h, unsigned *structure) {
    status failed = failure(h, "nvmlDeviceGetTemperature");
    return failed ? failed : number_of(h, "temp", structure + 2);
}

status nvmlDeviceGetUtilizationRates(handle h, unsigned *out) {
    CHECK(h);
    out[1] = 0;
    return instance_of(h) >= 0 ? NOT_SUPPORTED : number_of(h, "util", out);
}

typedef struct { unsigned long long total, free, used; } memory_1;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_2;

static status memory_of(handle h, unsigned long long *total, unsigned long long *used) {
    char a[64], b[64];
    if (!look_up_of(h, "total", a, sizeof a) || !look_up_of(h, "used", b, sizeof b)) return NOT_SUPPORTED;
    *total = strtoull(a, NULL, 0);
    *used = strtoull(b, NULL, 0);
    return SUCCESS;
}

/* Version 1 counts what the driver keeps for itself as used: here one more MiB. */
status nvmlDeviceGetMemoryInfo(handle h, memory_1 *out) {
    CHECK(h);
    status failed = memory_of(h, &out->total, &out->used);
    out->used += 1 << 20;
    return failed;
}

status nvmlDeviceGetMemoryInfo_v2(handle h, memory_2 *out) {
    CHECK(h);
    return memory_of(h, &out->total, &out->used);
}

status nvmlDeviceGetMigMode(handle h, unsigned *current, unsigned *pending) {
    CHECK(h);
    status failed = number_of(h, "mig", current);
    *pending = *current;
    return failed;
}

status nvmlDeviceGetMaxMigDeviceCount(handle h, unsigned *out) { CHECK(h); *out = 7; return SUCCESS; }

status nvmlDeviceGetMigDeviceHandleByIndex(handle h, unsigned index, handle *out) {
    char value[256];
    CHECK(h);
    *out = handle_of(gpu_of(h), index);
    return look_up_of(*out, "uuid", value, sizeof value) ? SUCCESS : NOT_FOUND;
}

typedef struct { unsigned pid; unsigned long long memory; unsigned instance, compute; } process;

/* gpu0.procs=4711:1073741824,4712:NA — NA is what a container or WDDM answers. */
static status processes_of(handle h, const char *function, unsigned *size, process *out) {
    char value[512] = "", *rest = value, *word;
    unsigned found = 0, room = *size;
    status failed = failure(h, function);
    if (failed) return failed;
    look_up_of(h, "procs", value, sizeof value);
    while ((word = strsep(&rest, ","))) {
        char *memory = strchr(word, ':');
        if (!*word) continue;
        if (out && found < room) {
            out[found].pid = strtoul(word, NULL, 10);
            out[found].memory = memory && strcmp(memory + 1, "NA") ? strtoull(memory + 1, NULL, 10) : ~0ull;
            out[found].instance = out[found].compute = ~0u;
        }
        found++;
    }
    *size = found;
    return found > room ? TOO_SMALL : SUCCESS;
}

status nvmlDeviceGetComputeRunningProcesses_v3(handle h, unsigned *size, process *out) {
    return processes_of(h, __func__, size, out);
}
