/* phalanx: the program that users start. Finds the command, reads its options, runs it, and turns
 * an error into one line and an exit code. */
#include "base/error.h"
#include "base/log.h"
#include "launcher/cmd_render.h"
#include "launcher/cmd_tokenize.h"
#include "launcher/commands.h"
#include "launcher/exit_code.h"
#include "launcher/interrupt.h"
#include "launcher/job/users_job.h"
#include "launcher/model_path.h"
#include "parallel/launch_place.h"
#include "parallel/ranks.h"
#include "runtime/options/options.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const volatile sig_atomic_t *interrupt; /* NULL: signals do what they do */

static void print_commands(FILE *out)
{
    fprintf(out, "phalanx: one model, many ranks, the same answer\n\n");
    for (int c = 0; c < COMMAND_COUNT; c++)
        if (command_summary((enum command)c) != NULL)
            fprintf(out, "  phalanx %-16s %s\n", command_name((enum command)c),
                    command_summary((enum command)c));
    fprintf(out, "\nphalanx COMMAND --help explains one; phalanx --version.\n");
}

/* Commands of two words that begin with this one; false: there are none. */
static bool print_family(FILE *out, const char *word)
{
    const size_t n = strlen(word);
    bool any = false;
    for (int c = 0; c < COMMAND_COUNT; c++) {
        const char *name = command_name((enum command)c);
        if (strncmp(name, word, n) != 0 || name[n] != ' ')
            continue;
        fprintf(out, "  phalanx %-16s %s\n", name, command_summary((enum command)c));
        any = true;
    }
    return any;
}

static bool run_text_tool(const struct options *options, struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    if (!model_path_find(folder, options->model, "tokenizer.json", err))
        return false;
    return options->command == COMMAND_TOKENIZE
               ? cmd_tokenize_run(folder, options->add_special_tokens, stdin, stdout, err)
               : cmd_detokenize_run(folder, stdin, stdout, err);
}

static bool starts_ranks(enum command command)
{
    switch (command) {
    case COMMAND_GENERATE:
    case COMMAND_CHAT:
    case COMMAND_DEMO:
    case COMMAND_SCORE:
    case COMMAND_BATCH:
    case COMMAND_SERVE:
    case COMMAND_BENCH_LATENCY:
    case COMMAND_BENCH_THROUGHPUT:
    case COMMAND_BENCH_STARTUP:
        return true;
    default:
        return false;
    }
}

/* What a command wants of its ranks, unless the user says it. Not in the command itself: under a
 * user's launcher the ranks are there before it. */
static void set_defaults_of_ranks(struct options *options)
{
    if (options->command == COMMAND_DEMO && !options_is_given(options, "--tensor-parallel-size"))
        options->tensor_parallel_size = 2;
    if (options->command == COMMAND_BENCH_LATENCY &&
        !options_is_given(options, "--enable-prefix-caching"))
        options->enable_prefix_caching = false; /* every answer is computed, none remembered */
}

/* After this, this process is the one that runs the command. */
static bool find_place(struct options *options, struct error *err)
{
    if (!starts_ranks(options->command))
        return users_job_check_alone(options, err) && model_path_find_draft(options, err);
    set_defaults_of_ranks(options);
    return ranks_check_launcher(err) && model_path_find_draft(options, err) &&
           (!users_job_is_here() || users_job_enter(options, err));
}

static bool run(struct options *options, struct error *err)
{
    if (!find_place(options, err))
        return false;
    switch (options->command) {
    case COMMAND_GENERATE:
        interrupt = interrupt_catch();
        return cmd_generate(options, interrupt, err);
    case COMMAND_CHAT:
        interrupt = interrupt_catch();
        return cmd_chat(options, interrupt, err);
    case COMMAND_TOKENIZE:
    case COMMAND_DETOKENIZE:
        return run_text_tool(options, err);
    case COMMAND_RENDER:
        return cmd_render(options, stdin, stdout, err);
    case COMMAND_DEMO:
        interrupt = interrupt_catch();
        return cmd_demo(options, interrupt, err);
    case COMMAND_SCORE:
        interrupt = interrupt_catch();
        return cmd_score(options, interrupt, err);
    case COMMAND_BATCH:
        interrupt = interrupt_catch();
        return cmd_batch(options, interrupt, err);
    case COMMAND_SERVE:
        interrupt = interrupt_catch();
        return cmd_serve(options, interrupt, err);
    case COMMAND_BENCH_LATENCY:
    case COMMAND_BENCH_THROUGHPUT:
        interrupt = interrupt_catch();
        return cmd_bench(options, interrupt, err);
    case COMMAND_BENCH_SERVE:
        interrupt = interrupt_catch();
        return cmd_bench_serve(options, interrupt, err);
    case COMMAND_BENCH_STARTUP:
        interrupt = interrupt_catch();
        return cmd_bench_startup(options, interrupt, err);
    case COMMAND_PLAN:
        return cmd_plan(options, err);
    case COMMAND_DOCTOR:
        return cmd_doctor(options, err);
    default:
        return error_set(err, ERROR_INPUT, "no such command");
    }
}

static int fail(enum command command, const struct error *err)
{
    if (interrupt != NULL && *interrupt)
        _exit(EXIT_INTERRUPTED); /* the user knows why; exit() would wait for a reader of stdout */
    if (starts_ranks(command) || users_job_is_here()) /* else each task of a srun has its own */
        users_job_leave_the_word_to_rank_0((int)exit_code_of(err));
    log_tell("phalanx", err->text);
    return exit_code_of(err);
}

/* Whatever was printed has arrived, or the command has failed. */
static bool all_written(struct error *err)
{
    if (!ferror(stdout) && fflush(stdout) == 0)
        return true;
    return error_set(err, ERROR_SYSTEM, "standard output: the answer could not be written");
}

static int run_command(enum command command, int argc, char **argv)
{
    struct error err = {0};
    struct options options;
    bool good = options_parse(&options, command, argc, argv, &err);
    for (int i = 0; good && launch_rank() == 0 && i < options.notes.n; i++)
        log_tell("phalanx", options.notes.item[i]);
    if (good && options.help)
        options_print_help(stdout, command, options.help_all);
    else if (good)
        good = run(&options, &err);
    good = good && all_written(&err);
    options_release(&options);
    return good ? EXIT_CLEAN : fail(command, &err);
}

/* The number of a standard stream that is closed would go to a socket of ours, and be written to.
 * Read-only, so that writing fails as it did. */
static void open_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* Before the constructors of libraries, which open files of their own: else one of those is what
 * this program reads. */
typedef void start_fn(void);
__attribute__((section(".preinit_array"), used)) static start_fn *const before_all =
    open_standard_streams;

/* Of the processes of a user's job one answers; what the others print goes nowhere. */
static void answer_once(void)
{
    const int null = users_job_is_here() && launch_rank() != 0 ? open("/dev/null", O_WRONLY) : -1;
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        close(null);
    }
}

/* Words that are no command; false: it is none of these. */
static bool answer_word(const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        print_commands(stdout);
    else if (strcmp(word, "--help=markdown") == 0)
        options_print_markdown(stdout);
    else if (strcmp(word, "--version") == 0)
        printf("phalanx %s\n", PHALANX_VERSION);
    else
        return false;
    return true;
}

/* No command, or half a one. */
static int refuse_words(const char *word)
{
    users_job_leave_the_word_to_rank_0(EXIT_BAD_INPUT);
    if (word != NULL && print_family(stderr, word))
        return EXIT_BAD_INPUT;
    if (word != NULL)
        log_tell("phalanx: unknown command", word);
    print_commands(stderr);
    return EXIT_BAD_INPUT;
}

int main(int argc, char **argv)
{
    answer_once();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of its write */
    log_set(LOG_WARN, -1);
    exit_code_catch_bugs();

    enum command command;
    if (argc > 1 && answer_word(argv[1]))
        return EXIT_CLEAN;
    const int n_words = command_find(&command, argc - 1, argv + 1);
    if (n_words > 0)
        return run_command(command, argc - 1 - n_words, argv + 1 + n_words);
    const bool is_help = argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);
    return is_help && print_family(stdout, argv[1]) ? EXIT_CLEAN : refuse_words(argv[1]);
}
