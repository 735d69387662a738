#include "launcher/bench/result_file.h"

#include "base/error.h"
#include "base/system.h"
#include "runtime/options/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* As mkdir -p. */
static bool make_folder(const char *path, struct error *err)
{
    struct bytes part = {0};
    struct stat is;
    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        bytes_clear(&part);
        bytes_add(&part, path, i);
        bytes_add_text(&part, "");
        mkdir(part.data, 0777); /* there already, or the look behind the loop says why not */
    }
    bytes_release(&part);
    if (stat(path, &is) == 0 && !S_ISDIR(is.st_mode))
        errno = ENOTDIR;
    else if (stat(path, &is) == 0)
        return true;
    return error_set(err, ERROR_INPUT, "--result-dir: cannot make %s: %s", path, strerror(errno));
}

bool result_file_prepare(const struct options *options, struct error *err)
{
    const char *folder = options->bench.result_dir;
    if (!options->bench.save_result && (folder != NULL || options->bench.result_filename != NULL))
        return error_set(err, ERROR_INPUT, "%s says where --save-result writes: give both",
                         folder != NULL ? "--result-dir" : "--result-filename");
    if (options->bench.save_result && options->bench.output_json != NULL)
        return error_set(err, ERROR_INPUT,
                         "--output-json says where --save-result says: give one of them");
    return folder == NULL || *folder == '\0' || make_folder(folder, err);
}

static void add_rate(struct bytes *out, const struct options *options)
{
    if (options->bench.ramp_up_strategy != NULL)
        bytes_printf(out, "-ramp-up-%s-%gqps-%gqps", options->bench.ramp_up_strategy,
                     options->bench.ramp_up_start_rps, options->bench.ramp_up_end_rps);
    else
        bytes_printf(out, "-%gqps", options->bench.request_rate);
}

void result_file_date(char out[RESULT_DATE_BYTES])
{
    struct calendar_time now;
    clock_calendar(&now);
    snprintf(out, RESULT_DATE_BYTES, "%04d%02d%02d-%02d%02d%02d", now.year, now.month, now.day,
             now.hour, now.minute, now.second);
}

void result_file_path(struct bytes *out, const struct options *options, const char *model)
{
    const char *folder = options->bench.result_dir, *slash = strrchr(model, '/');
    char date[RESULT_DATE_BYTES];
    bytes_clear(out);
    if (folder != NULL && *folder != '\0')
        bytes_printf(out, "%s/", folder);
    if (options->bench.result_filename != NULL) {
        bytes_add_text(out, options->bench.result_filename);
        return;
    }
    bytes_add_text(out, options->bench.backend);
    add_rate(out, options);
    if (options->bench.max_concurrency > 0)
        bytes_printf(out, "-concurrency%lld", (long long)options->bench.max_concurrency);
    result_file_date(date);
    bytes_printf(out, "-%s-%s.json", slash != NULL ? slash + 1 : model, date);
}
