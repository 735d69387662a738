/* What takes requests: the server, and files of them. */
#include "runtime/options/rows.h"

/* A row is a paragraph, not a column. */
/* clang-format off */
static const struct option rows[] = {
    {.name = "--host", .kind = OPTION_TEXT, .offset = FIELD(serve.host), .value = "ADDRESS",
     .default_text = "127.0.0.1", .commands = SERVE, .basic = true, .section = "Server",
     .help = "Where it listens. Addresses that others can reach want --api-key, or --insecure."},
    {.name = "--port", .kind = OPTION_INT, .offset = FIELD(serve.port), .value = "N",
     .default_text = "8000", .max = 65535, .commands = SERVE, .basic = true, .section = "Server",
     .help = "Port of HTTP; 0: any that is free, said when it is ready."},
    {.name = "--grpc-port", .kind = OPTION_INT, .offset = FIELD(serve.grpc_port), .value = "N",
     .default_text = "0", .max = 65535, .commands = SERVE, .basic = true, .section = "Server",
     .help = "Port of gRPC; 0: none."},
    {.name = "--served-model-name", .kind = OPTION_LIST, .offset = FIELD(serve.model_name),
     .value = "NAME", .commands = CALLS, .basic = true, .section = "Server",
     .help = "The model's name for clients; may be repeated, the first one is in answers. Not "
             "given: MODEL as it was given."},
    {.name = "--api-key", .kind = OPTION_LIST, .offset = FIELD(serve.api_key), .value = "KEY",
     .commands = SERVE, .basic = true, .section = "Server",
     .help = "Who asks has to show one of these; may be repeated. The environment variable "
             "PHALANX_API_KEY has one too, which ps does not show."},
    {.name = "--api-key-file", .kind = OPTION_TEXT, .offset = FIELD(serve.api_key_file),
     .value = "FILE", .commands = SERVE, .section = "Server",
     .help = "Keys, one a line, a name for logs before it and a space if you like; read again at "
             "SIGHUP."},
    {.name = "--insecure", .kind = OPTION_FLAG, .offset = FIELD(serve.insecure), .commands = SERVE,
     .section = "Server",
     .help = "Listen where others can reach it without any key."},
    {.name = "--ssl-certfile", .kind = OPTION_TEXT, .offset = FIELD(serve.ssl_certfile),
     .value = "FILE", .commands = SERVE, .section = "Server",
     .help = "Certificate (PEM, with its chain): HTTP and gRPC by TLS."},
    {.name = "--ssl-keyfile", .kind = OPTION_TEXT, .offset = FIELD(serve.ssl_keyfile),
     .value = "FILE", .commands = SERVE, .section = "Server",
     .help = "Its private key (PEM)."},
    {.name = "--allowed-origins", .kind = OPTION_LIST, .offset = FIELD(serve.origin),
     .value = "ORIGIN", .commands = SERVE, .section = "Server",
     .help = "Web pages from there may ask (CORS): https://example.org, or *; may be repeated."},
    {.name = "--max-connections", .kind = OPTION_INT, .offset = FIELD(serve.max_connections),
     .value = "N", .default_text = "4096", .min = 1, .max = 1000000, .commands = SERVE,
     .section = "Server",
     .help = "Open connections of HTTP, and as many of gRPC; one more is told to come later "
             "(503), of gRPC closed."},
    {.name = "--max-queue", .kind = OPTION_INT, .offset = FIELD(serve.max_queue), .value = "N",
     .default_text = "1024", .max = 1000000, .commands = SERVE, .section = "Server",
     .help = "Sequences that may wait for those that run; one more is told to come later (429)."},
    {.name = "--max-body-bytes", .kind = OPTION_INT, .offset = FIELD(serve.max_body_bytes),
     .value = "BYTES", .default_text = "32M", .min = 1024, .max = 1 << 30, .commands = SERVE,
     .section = "Server",
     .help = "Longest body of a request."},
    {.name = "--max-logprobs", .kind = OPTION_INT, .offset = FIELD(serve.max_logprobs),
     .value = "K", .default_text = "20", .max = 20, .commands = CALLS, .section = "Server",
     .help = "Most likely tokens that a request may ask for."},
    {.name = "--drain-timeout", .kind = OPTION_INT, .offset = FIELD(serve.drain_timeout),
     .value = "S", .default_text = "30", .max = 86400, .commands = SERVE, .section = "Server",
     .help = "How long requests may go on after SIGTERM before they get an error."},
    {.name = "--disable-log-stats", .kind = OPTION_FLAG, .offset = FIELD(serve.no_log_stats),
     .commands = SERVE, .section = "Server",
     .help = "No line of statistics every 10 seconds while something runs."},
    {.name = "--disable-log-requests", .kind = OPTION_FLAG, .offset = FIELD(serve.no_log_requests),
     .commands = SERVE, .section = "Server",
     .help = "No line for each request."},
    {.name = "--log-format", .kind = OPTION_TEXT, .offset = FIELD(serve.log_format),
     .value = "NAME", .default_text = "text", .choices = "text|json",
     .commands = SERVE | RANK, .section = "Server",
     .help = "Lines of the log as text, or each as a JSON object."},

    {.name = "--input-file", .alias = "-i", .kind = OPTION_TEXT, .offset = FIELD(batch.input),
     .value = "FILE", .commands = BATCH, .basic = true, .section = "Batch",
     .help = "Requests, one JSON object a line: custom_id, method, url, body. - is standard input, "
             "which cannot be read again: no going on after a kill."},
    {.name = "--output-file", .alias = "-o", .kind = OPTION_TEXT, .offset = FIELD(batch.output),
     .value = "FILE", .commands = BATCH, .basic = true, .section = "Batch",
     .help = "Answers in the order of the requests; there when the last one is. - is standard "
             "output."},
    {.name = "--error-file", .kind = OPTION_TEXT, .offset = FIELD(batch.error_file),
     .value = "FILE", .commands = BATCH, .basic = true, .section = "Batch",
     .help = "Where requests that failed go, instead of into the answers."},
    {.name = "--journal", .kind = OPTION_TEXT, .offset = FIELD(batch.journal), .value = "FILE",
     .commands = BATCH, .section = "Batch",
     .help = "What is answered so far, until all is; not given: the name of the output with "
             ".journal behind it."},
    {.name = "--restart", .kind = OPTION_FLAG, .offset = FIELD(batch.restart), .commands = BATCH,
     .basic = true, .section = "Batch",
     .help = "Forget what the journal has, and begin anew."},
    {.name = "--fsync", .kind = OPTION_NUMBER, .offset = FIELD(batch.fsync_s), .value = "S",
     .default_text = "1", .max = 3600, .commands = BATCH, .section = "Batch",
     .help = "Answers of so many seconds may be lost with the power of the machine; 0: none. A "
             "program that is killed loses none."},
    {.name = "--strict", .kind = OPTION_FLAG, .offset = FIELD(batch.strict), .commands = BATCH,
     .section = "Batch",
     .help = "Exit with 2 when a request failed."},
};
/* clang-format on */

const struct option_group options_of_server = {rows, sizeof rows / sizeof *rows};
