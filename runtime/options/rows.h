/* runtime/options/rows.h: what the files of rows write their rows with.
 *
 * A row stands in the file of its sense; table.c has the order of the files. Only these include it.
 */
#pragma once
#include "runtime/options/table.h"

#define FIELD(name) offsetof(struct options, name)
#define NO_MAX      9e15 /* exact as a double, far beyond any size */

/* Bits of struct option's `commands`. */
enum {
    GENERATE = 1 << COMMAND_GENERATE,
    CHAT = 1 << COMMAND_CHAT,
    RENDER = 1 << COMMAND_RENDER,
    DEMO = 1 << COMMAND_DEMO,
    TOKENIZE = 1 << COMMAND_TOKENIZE,
    SCORE = 1 << COMMAND_SCORE,
    SERVE = 1 << COMMAND_SERVE,
    BATCH = 1 << COMMAND_BATCH,
    LATENCY = 1 << COMMAND_BENCH_LATENCY,
    THROUGHPUT = 1 << COMMAND_BENCH_THROUGHPUT,
    SERVE_LOAD = 1 << COMMAND_BENCH_SERVE,
    STARTUP = 1 << COMMAND_BENCH_STARTUP,
    PLAN = 1 << COMMAND_PLAN,
    LIBRARY = 1 << COMMAND_LIBRARY,
    RANK = 1 << COMMAND_RANK,
    BENCH = LATENCY | THROUGHPUT,
    LOADS = BENCH | SERVE_LOAD,      /* what sends many prompts */
    ANSWER = GENERATE | CHAT,        /* what answers and takes every parameter of sampling */
    TAKES = ANSWER | SERVE,          /* files of LLaMA-Factory, too */
    CALLS = SERVE | BATCH | LIBRARY, /* what answers requests of the protocol */
    STARTS = ANSWER | DEMO | SCORE | CALLS | BENCH | STARTUP, /* what starts ranks */
    ENGINE = STARTS | RANK,                                   /* and the rank itself */
    SIZES = ENGINE | PLAN,                                    /* what decides how large a rank is */
    EVERY = (1 << COMMAND_COUNT) - 1,
    USER = EVERY & ~RANK & ~LIBRARY,
};

struct option_group {
    const struct option *row; /* [n] */
    int n;
};
extern const struct option_group options_of_engine, options_of_server, options_of_answer,
    options_of_bench, options_of_program;
