/* launcher/commands.h: one function a command, each in its cmd_*.c. They print to standard output,
 * tell the user of progress on standard error, and leave errors to main.c. */
#pragma once
#include <signal.h>
#include <stdbool.h>

struct error;
struct options;

bool cmd_generate(const struct options *options, const volatile sig_atomic_t *interrupt,
                  struct error *err);
bool cmd_chat(struct options *options, const volatile sig_atomic_t *interrupt, struct error *err);
bool cmd_score(const struct options *options, const volatile sig_atomic_t *interrupt,
               struct error *err);
bool cmd_serve(const struct options *options, const volatile sig_atomic_t *interrupt,
               struct error *err);
/* latency and throughput; sets the options that make runs comparable. */
bool cmd_bench(struct options *options, const volatile sig_atomic_t *interrupt, struct error *err);
bool cmd_bench_serve(struct options *options, const volatile sig_atomic_t *interrupt,
                     struct error *err);
bool cmd_bench_startup(struct options *options, const volatile sig_atomic_t *interrupt,
                       struct error *err);
bool cmd_demo(struct options *options, const volatile sig_atomic_t *interrupt, struct error *err);
bool cmd_plan(struct options *options, struct error *err);
bool cmd_doctor(const struct options *options, struct error *err);
