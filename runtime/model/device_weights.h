/* runtime/model/device_weights.h: the weights of a rank in the memory of its GPU.
 *
 * One block of memory holds them all. What is multiplied with the same rows lies one behind the
 * other, so that forward/ makes one matmul of it: q, k, v of a layer; gate, up; their biases.
 *
 *   each weight    begins at a multiple of 256 bytes, one that lies behind another at one of 16
 *   each row       of a matrix too; zeros in between
 *   16-bit rows    of a matrix: each leaf of K is padded with zeros to a multiple of 32, as the
 *                  operands are (kernels/tensor.h)
 *
 * The weights of score heads stay on the host: hidden states come to them (runtime/pooler.h).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct device;
struct error;
struct model;
struct team;

struct device_loading {
    struct device *device;
    struct team *readers; /* read the files, convert and pad, while the GPU fetches what they did */
    bool check_weights;   /* as model_check_weights() */
    size_t buffer_bytes;  /* of each of two buffers on the host; 0: DEVICE_LOADING_BYTES */
};
enum { DEVICE_LOADING_BYTES = 64 << 20 };

/* Of a model that was opened as one on a GPU: reads its weights from the files and fills in their
 * pointers, which are good for the device alone. The device is borrowed until the release.
 * ERROR_SYSTEM: no memory for them there (says how much is needed), or the device failed;
 * ERROR_INPUT: a NaN or an infinity. Then the model has no weights, as before. */
bool model_to_device(struct model *model, const struct device_loading *loading, struct error *err);

/* Gives the memory back; the weights have no data until the next model_to_device(), which takes as
 * much and gives the same numbers. Also called by model_close(). Nothing to do is fine. */
void model_device_release(struct model *model);

/* How much memory that is: of measured models too. 0 for one that is not on a GPU. */
size_t device_weights_bytes(const struct model *model);
