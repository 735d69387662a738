/* What goes wrong, as the environment wants it. */
#include "tests/nccl_emulator/nccl_emulator.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void nccl_stop(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "nccl emulator: %s\n", text);
    abort();
}

struct nccl_fault nccl_fault_of(int rank)
{
    static const char *const names[] = {"none", "absent", "hang", "fail", "delay", "stall"};
    const char *wanted = getenv("NCCL_EMULATOR");
    char name[16];
    int of_rank;
    unsigned long long call;
    long long delay_ms = 0;
    if (wanted == NULL || wanted[0] == '\0')
        return (struct nccl_fault){0};
    if (sscanf(wanted, "%15[a-z]:%d:%llu:%lld", name, &of_rank, &call, &delay_ms) < 3)
        nccl_stop("NCCL_EMULATOR=%s: want FAULT:RANK:CALL[:MS]", wanted);
    for (int kind = FAULT_NONE; kind <= FAULT_STALL; kind++)
        if (strcmp(names[kind], name) == 0)
            return of_rank != rank ? (struct nccl_fault){0}
                                   : (struct nccl_fault){.kind = (enum nccl_fault_kind)kind,
                                                         .call = call,
                                                         .delay_ms = delay_ms};
    nccl_stop("NCCL_EMULATOR=%s: no fault is called %s", wanted, name);
}
