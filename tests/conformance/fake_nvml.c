/* A stand-in for libnvidia-ml.so.1, as far as gridq asks it. Compiled by rigs.py.
 *
 * On every call it reads its state from the file that FAKE_NVML_STATE names, lines of `key value`:
 *   init CODE          what nvmlInit returns
 *   count N            cards
 *   N.KEY VALUE        of card N: memory_used temperature lost hang mig ecc remap_failed refuse pid
 *   xid SERIAL CARD NUMBER INSTANCE      an XID error that has happened (any number of such lines)
 * `refuse CODE` makes every question that a driver may leave unanswered return that code.
 *
 * With -DOLD_DRIVER, entry points that came with later drivers are missing. The structures and codes are those of
 * NVIDIA's nvml.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10,
       GPU_IS_LOST = 15, VERSION_MISMATCH = 25 };
enum { CARDS = 8, INSTANCES = 2 };
#define GIB (1ULL << 30)
#define TOTAL (24 * GIB)
#define RESERVED GIB
#define INSTANCE_TOTAL (10 * GIB)
#define WHOLE_CARD 0xFFFFFFFFu
#define XID_EVENT 8ULL

typedef struct { int card, instance; } Device; /* instance -1: the card itself */
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } Memory2;
typedef struct { unsigned long long total, free, used; } Memory1;
typedef struct { unsigned int pid; unsigned long long memory; unsigned int instance, compute; } Process;
typedef struct { Device *device; unsigned long long type, data; unsigned int instance, compute; } Event;
typedef struct { int card; long long last; } EventSet;

static Device cards[CARDS], instances[CARDS][INSTANCES];

static long long state(int card, const char *key, long long otherwise)
{
    char wanted[64], found[64], line[128];
    long long value = otherwise, read;
    FILE *file = fopen(getenv("FAKE_NVML_STATE"), "r");
    if (!file) return otherwise;
    if (card < 0) snprintf(wanted, sizeof wanted, "%s", key);
    else snprintf(wanted, sizeof wanted, "%d.%s", card, key);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%63s %lld", found, &read) == 2 && !strcmp(found, wanted)) value = read;
    fclose(file);
    return value;
}

/* What every question to a device begins with. */
static int ask(Device *device)
{
    while (state(device->card, "hang", 0)) usleep(10000);
    return state(device->card, "lost", 0) ? GPU_IS_LOST : SUCCESS;
}

/* A question that a driver may leave unanswered, and that only a whole card can be asked. */
static int ask_card(Device *device)
{
    int code = ask(device);
    if (!code && device->instance >= 0) return INVALID_ARGUMENT;
    return code ? code : (int)state(device->card, "refuse", SUCCESS);
}

int nvmlInitWithFlags(unsigned int flags)
{
    (void)flags;
    for (int card = 0; card < CARDS; card++) {
        cards[card] = (Device){card, -1};
        for (int at = 0; at < INSTANCES; at++) instances[card][at] = (Device){card, at};
    }
    return (int)state(-1, "init", SUCCESS);
}
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the fake driver"; }
int nvmlSystemGetDriverVersion(char *text, unsigned int size) { snprintf(text, size, "570.00"); return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = (unsigned int)state(-1, "count", 2); return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Device **device)
{
    *device = &cards[index];
    return ask(*device);
}
int nvmlDeviceGetUUID(Device *device, char *text, unsigned int size)
{
    if (device->instance < 0) snprintf(text, size, "GPU-%d", device->card);
    else snprintf(text, size, "MIG-%d-%d", device->card, device->instance);
    return ask(device);
}
int nvmlDeviceGetName(Device *device, char *text, unsigned int size)
{
    snprintf(text, size, device->instance < 0 ? "Fake 24GB" : "Fake 24GB MIG 1g.10gb");
    return ask(device);
}
int nvmlDeviceGetMemoryInfo(Device *device, Memory1 *memory)
{
    int code = ask(device);
    unsigned long long total = device->instance < 0 ? TOTAL : INSTANCE_TOTAL;
    unsigned long long used = (unsigned long long)state(device->card, "memory_used", (long long)RESERVED);
    *memory = (Memory1){total, total - used, used};
    return code ? code : (int)state(device->card, "refuse", SUCCESS);
}
int nvmlDeviceGetTemperature(Device *device, int sensor, unsigned int *degrees)
{
    (void)sensor;
    *degrees = (unsigned int)state(device->card, "temperature", 40);
    return ask_card(device);
}
int nvmlDeviceGetPowerUsage(Device *device, unsigned int *milliwatts)
{
    *milliwatts = 60500;
    return ask_card(device);
}
int nvmlDeviceGetUtilizationRates(Device *device, unsigned int *percent)
{
    percent[0] = 25;
    percent[1] = 5;
    return ask_card(device);
}
static int processes(Device *device, unsigned int *count, Process *found)
{
    int code = ask(device);
    long long pid = state(device->card, "pid", 0);
    unsigned int size = *count;
    if (!code) code = (int)state(device->card, "refuse", SUCCESS);
    if (code) return code;
    *count = pid ? 2 : 0;
    if (size < *count) return INSUFFICIENT_SIZE;
    if (pid) {
        found[0] = (Process){(unsigned int)pid, GIB, 0, 0};
        found[1] = (Process){(unsigned int)pid + 1, ~0ULL, 0, 0}; /* ~0: the driver does not say how much */
    }
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v2(Device *device, unsigned int *count, Process *found)
{
    return processes(device, count, found);
}

#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(Device *device, Memory2 *memory)
{
    Memory1 first;
    int code = nvmlDeviceGetMemoryInfo(device, &first);
    memory->total = first.total;
    memory->reserved = RESERVED;
    memory->free = first.free;
    memory->used = first.used - RESERVED;
    return memory->version == 0x02000028 ? code : VERSION_MISMATCH;
}
int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned int *count, Process *found)
{
    return processes(device, count, found);
}
int nvmlDeviceGetTemperatureThreshold(Device *device, int threshold, unsigned int *degrees)
{
    *degrees = threshold == 1 ? 92 : 97;
    return ask_card(device);
}
int nvmlDeviceGetEnforcedPowerLimit(Device *device, unsigned int *milliwatts)
{
    *milliwatts = 350000;
    return ask_card(device);
}
int nvmlDeviceGetTotalEccErrors(Device *device, int type, int counter, unsigned long long *count)
{
    *count = type == 1 && counter == 0 ? (unsigned long long)state(device->card, "ecc", 0) : 12345;
    return ask_card(device);
}
int nvmlDeviceGetRemappedRows(Device *device, unsigned int *corrected, unsigned int *uncorrected, unsigned int *pending,
                              unsigned int *failed)
{
    *corrected = *uncorrected = *pending = 1;
    *failed = (unsigned int)state(device->card, "remap_failed", 0);
    return ask_card(device);
}
int nvmlDeviceGetMigMode(Device *device, unsigned int *current, unsigned int *pending)
{
    *current = *pending = (unsigned int)state(device->card, "mig", 0);
    return ask(device);
}
int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned int *count) { *count = 7; return ask(device); }
int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned int index, Device **instance)
{
    if (index % 2 || index / 2 >= INSTANCES) return NOT_FOUND; /* real cards have such gaps */
    *instance = &instances[device->card][index / 2];
    return ask(device);
}
int nvmlDeviceGetGpuInstanceId(Device *device, unsigned int *id)
{
    *id = (unsigned int)device->instance + 7;
    return ask(device);
}
int nvmlEventSetCreate(EventSet **set)
{
    *set = calloc(1, sizeof **set);
    return SUCCESS;
}
int nvmlEventSetFree(EventSet *set) { free(set); return SUCCESS; }
int nvmlDeviceRegisterEvents(Device *device, unsigned long long types, EventSet *set)
{
    set->card = device->card;
    return types == XID_EVENT ? ask_card(device) : NOT_SUPPORTED;
}
int nvmlEventSetWait_v2(EventSet *set, Event *event, unsigned int milliseconds)
{
    char line[128];
    long long serial, card, number, instance;
    FILE *file = fopen(getenv("FAKE_NVML_STATE"), "r");
    (void)milliseconds;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "xid %lld %lld %lld %lld", &serial, &card, &number, &instance) != 4) continue;
        if (card != set->card || serial <= set->last) continue;
        set->last = serial;
        *event = (Event){&cards[card], XID_EVENT, (unsigned long long)number,
                         instance < 0 ? WHOLE_CARD : (unsigned int)instance + 7, WHOLE_CARD};
        fclose(file);
        return SUCCESS;
    }
    if (file) fclose(file);
    return TIMEOUT;
}
#endif
