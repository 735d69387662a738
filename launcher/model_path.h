/* launcher/model_path.h: which folder MODEL means.
 *
 * A folder, or the name of a model ("org/name") that is in the Hugging Face cache on this disk
 * ($HF_HOME/hub, else ~/.cache/huggingface/hub): the snapshot of its main branch. Nothing is
 * downloaded. ERROR_INPUT says where was looked. `out` has MODEL_PATH_BYTES. */
#pragma once
#include <stdbool.h>

struct error;
struct options;

enum { MODEL_PATH_BYTES = 4096 };

/* `needs` is a file that the folder must have: "config.json", or "tokenizer.json" for text tools.
 */
bool model_path_find(char *out, const char *model, const char *needs, struct error *err);

/* The model that guesses, of --speculative-model, becomes its folder: it may be a name in the
 * cache, too. */
bool model_path_find_draft(struct options *options, struct error *err);

/* The model that ships with Phalanx: beside an installed program, or in the source tree. */
bool model_path_demo(char *out, struct error *err);

/* The folder that this program lies in. */
bool program_folder(char *out, struct error *err);
