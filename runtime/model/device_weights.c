/* The block is filled in its order, a window of it at a time: the readers fill one buffer while the
 * GPU fetches the other. */
#include "runtime/model/device_weights.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/team.h"
#include "kernels/device.h"
#include "runtime/model/device_layout.h"
#include "runtime/model/loading_watch.h"

#include <stdatomic.h>
#include <string.h>

enum {
    RUN_BYTES = 1 << 20, /* what a reader takes at a time */
    GAP_BYTES = 256      /* more than lies between two weights */
};

static size_t min_of(size_t a, size_t b) { return a < b ? a : b; }
static size_t max_of(size_t a, size_t b) { return a > b ? a : b; }

size_t device_weights_bytes(const struct model *model)
{
    if (!model->share.on_gpu)
        return 0;
    struct device_layout layout;
    device_layout_make(&layout, model);
    device_layout_release(&layout);
    return layout.n_bytes;
}

/* ---- filling ---- */

struct run { /* rows of a piece: what one reader does at a time */
    const struct piece *piece;
    int64_t first_row, n_rows;
    size_t at, end; /* in the block; the end is where the next one begins */
};

struct filling {
    const struct device_loading *loading;
    struct loading_watch *watch;
    struct run *run;
    int n_runs;
    size_t buffer_bytes;
    /* the window that the readers work on */
    int first_run;
    unsigned char *buffer;
    atomic_int bad_run; /* the first one with a NaN or an infinity; n_runs: none */
};

static size_t widest_row(const struct device_layout *layout)
{
    size_t widest = 0;
    for (int i = 0; i < layout->n; i++)
        widest = max_of(widest, piece_row_bytes(&layout->piece[i]));
    return widest;
}

static int64_t rows_of_run(const struct filling *filling, const struct piece *piece)
{
    const size_t most = min_of(RUN_BYTES, filling->buffer_bytes - GAP_BYTES);
    return (int64_t)max_of(most / max_of(piece_row_bytes(piece), 1), 1);
}

/* Twice: to count them, and to have them. */
static int cut_runs(const struct filling *filling, const struct device_layout *layout,
                    struct run *run)
{
    int n = 0;
    for (int i = 0; i < layout->n_placed; i++) {
        const struct piece *piece = layout->placed[i];
        const int64_t most = rows_of_run(filling, piece), n_rows = piece->part.shape.n_rows;
        for (int64_t row = 0; row < n_rows; row += most, n++) {
            if (run == NULL)
                continue;
            run[n] = (struct run){.piece = piece,
                                  .first_row = row,
                                  .n_rows = row + most < n_rows ? most : n_rows - row,
                                  .at = piece->at + (size_t)row * piece_row_bytes(piece),
                                  .end = layout->n_bytes};
            if (n > 0)
                run[n - 1].end = run[n].at;
        }
    }
    return n;
}

/* Zeros stand behind each leaf, as far as a GPU reads. */
static void fill_row(unsigned char *to, const struct piece *piece, int64_t row)
{
    const struct tensor_part *part = &piece->part;
    const size_t element = dtype_bytes(part->wanted);
    int begin = 0;
    int64_t at = 0;
    memset(to, 0, piece_row_bytes(piece));
    for (int i = 0; i < piece->leaves.n_leaves; i++) {
        const int n = piece->leaves.leaf[i].k_end - begin;
        tensor_part_read(to + (size_t)at * element, part, row, begin, n);
        begin += n;
        at += (n + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
    }
}

static void remember_bad(struct filling *filling, int run)
{
    int known = atomic_load(&filling->bad_run);
    while (run < known && !atomic_compare_exchange_weak(&filling->bad_run, &known, run)) {
    }
}

static void fill_run(void *context, int item, int thread)
{
    (void)thread;
    struct filling *filling = context;
    const int number = filling->first_run + item;
    const struct run *run = &filling->run[number];
    unsigned char *const begin = filling->buffer + (run->at - filling->run[filling->first_run].at);
    unsigned char *to = begin;
    for (int64_t r = 0; r < run->n_rows; r++, to += piece_row_bytes(run->piece)) {
        fill_row(to, run->piece, run->first_row + r);
        if (filling->loading->check_weights &&
            !numbers_are_finite(to, run->piece->part.wanted, run->piece->row_stride))
            remember_bad(filling, number);
    }
    memset(to, 0, run->end - run->at - (size_t)(to - begin)); /* up to the next weight */
}

/* The run behind the last one that fits into a buffer with run `first`. */
static int window_end(const struct filling *filling, int first)
{
    int end = first + 1;
    while (end < filling->n_runs &&
           filling->run[end].end - filling->run[first].at <= filling->buffer_bytes)
        end++;
    return end;
}

/* The disk may fetch the next window while this one is read. */
static void prefetch(const struct filling *filling, int first, int end)
{
    for (int i = first; i < end; i++) {
        const struct run *run = &filling->run[i];
        tensor_part_prefetch(&run->piece->part, run->first_row, run->n_rows);
    }
}

static bool refuse_numbers(const struct filling *filling, int number, struct error *err)
{
    const struct tensor *tensor = filling->run[number].piece->part.tensor;
    return error_set(err, ERROR_INPUT, "%s: tensor %s has a NaN or an infinity", tensor->file->path,
                     tensor->name);
}

static bool fill(struct filling *filling, unsigned char *block, void *const buffer[2],
                 struct error *err)
{
    struct device *device = filling->loading->device;
    uint64_t fetched[2] = {0};
    for (int window = 0, first = 0; first < filling->n_runs; window++) {
        const int end = window_end(filling, first), which = window % 2;
        if (window >= 2 && !device_wait(device, fetched[which], err))
            return false;
        filling->first_run = first;
        filling->buffer = buffer[which];
        if (end < filling->n_runs)
            prefetch(filling, end, window_end(filling, end));
        team_run(filling->loading->readers, fill_run, filling, end - first);
        const int bad = atomic_load(&filling->bad_run);
        if (bad < filling->n_runs)
            return device_sync(device, err) && refuse_numbers(filling, bad, err);
        const size_t at = filling->run[first].at;
        device_upload(device, block + at, buffer[which], filling->run[end - 1].end - at);
        fetched[which] = device_mark(device);
        loading_did(filling->watch, filling->run[end - 1].end - at);
        first = end;
    }
    return device_sync(device, err);
}

static bool fill_by_buffers(struct filling *filling, unsigned char *block, struct error *err)
{
    struct device *device = filling->loading->device;
    const size_t n_bytes = filling->buffer_bytes;
    void *buffer[2] = {NULL, NULL};
    const bool good = device_alloc_host(device, &buffer[0], n_bytes, err) &&
                      device_alloc_host(device, &buffer[1], n_bytes, err) &&
                      fill(filling, block, buffer, err);
    for (int i = 0; i < 2; i++)
        if (buffer[i] != NULL)
            device_free_host(device, buffer[i], n_bytes);
    return good;
}

static bool fill_block(const struct device_layout *layout, const struct device_loading *loading,
                       struct loading_watch *watch, unsigned char *block, struct error *err)
{
    const size_t asked = loading->buffer_bytes > 0 ? loading->buffer_bytes : DEVICE_LOADING_BYTES;
    const size_t least = widest_row(layout) + GAP_BYTES;
    struct filling filling = {.loading = loading,
                              .watch = watch,
                              .buffer_bytes = max_of(min_of(asked, layout->n_bytes), least)};
    filling.n_runs = cut_runs(&filling, layout, NULL);
    filling.run = memory_alloc((size_t)filling.n_runs, sizeof *filling.run);
    cut_runs(&filling, layout, filling.run);
    atomic_init(&filling.bad_run, filling.n_runs);
    loading_expect(watch, layout->n_bytes);
    const bool good = fill_by_buffers(&filling, block, err);
    memory_free(filling.run);
    return good;
}

/* ---- the model ---- */

static void set_weights(struct model *model, const struct device_layout *layout,
                        unsigned char *block)
{
    for (int i = 0; i < layout->n; i++) {
        const struct piece *piece = &layout->piece[i];
        *piece->weight = (struct weight){.data = block ? block + piece->at : NULL,
                                         .dtype = piece->part.wanted,
                                         .row_stride = piece->row_stride};
    }
    weights_share_head(model);
}

static void forget_pages(const struct model *model)
{
    const struct checkpoint *checkpoint = &model->files->checkpoint;
    for (int i = 0; i < checkpoint->n_files; i++)
        file_map_forget(&checkpoint->file[i].map);
}

bool model_to_device(struct model *model, const struct device_loading *loading, struct error *err)
{
    struct model_files *files = model->files;
    struct device_layout layout;
    check(model->share.on_gpu && files->device == NULL);
    device_layout_make(&layout, model);
    bool good = device_alloc(loading->device, &files->on_device, layout.n_bytes, err) ||
                error_in(err, "the weights of this rank");
    if (good) {
        files->device = loading->device;
        good = fill_block(&layout, loading, files->watch, files->on_device, err);
    }
    if (good)
        set_weights(model, &layout, files->on_device);
    else
        model_device_release(model);
    forget_pages(model);
    device_layout_release(&layout);
    return good;
}

void model_device_release(struct model *model)
{
    struct model_files *files = model->files;
    if (files == NULL || files->device == NULL)
        return;
    struct device_layout layout;
    device_layout_make(&layout, model);
    set_weights(model, &layout, NULL);
    device_free(files->device, files->on_device, layout.n_bytes);
    files->device = NULL;
    files->on_device = NULL;
    device_layout_release(&layout);
}
