/* A stand-in for libcuda.so.1, as far as gridq asks it: one GPU, whose context a program can break as a kernel that
 * reads a wrong address does. Compiled by rigs.py. The signatures are those of NVIDIA's cuda.h.
 */
#include <stddef.h>

static int used, error, pushed;
static int context;

/* What a program does: begin to use the GPU, and have a kernel fail there with this CUresult. */
void fake_use(void) { used = 1; }
void fake_fail(int code) { used = 1; error = code; }

int cuDeviceGetCount(int *count) { if (!used) return 3; *count = 1; return 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned int *flags, int *active) { (void)device; *flags = 0; *active = used; return 0; }
int cuDevicePrimaryCtxRetain(void **made, int device) { (void)device; *made = &context; return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { (void)device; return 0; }
int cuCtxPushCurrent_v2(void *given) { if (given != &context) return 201; pushed++; return 0; }
int cuCtxPopCurrent_v2(void **taken) { if (!pushed) return 201; pushed--; *taken = &context; return 0; }
int cuStreamQuery(void *stream) { (void)stream; return pushed ? error : 201; }
