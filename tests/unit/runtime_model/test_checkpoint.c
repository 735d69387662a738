/* A folder of files: the index, the pickles, and tensors that do not fit the config. */
#include "runtime/model/checkpoint.h"

#include "base/bytes.h"
#include "base/error.h"
#include "runtime/model/model.h"
#include "tests/test.h"
#include "tests/unit/runtime_model/small_model.h"

#include <stdio.h>
#include <string.h>

static const char index_name[] = "model.safetensors.index.json";

static void write_text(const struct small_model *model, const char *name, const char *text)
{
    folder_write(&model->folder, name, text, strlen(text));
}

/* weight_map with the first `n_first` tensors in one.safetensors and the others in `other`. */
static void write_index(const struct small_model *model, int n_first, const char *other)
{
    struct bytes text = {0};
    bytes_add_text(&text, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    for (int i = 0; i < model->n_tensors; i++)
        bytes_printf(&text, "%s\"%s\": \"%s\"", i ? ", " : "", model->tensor[i].name,
                     i < n_first ? "one.safetensors" : other);
    bytes_add_text(&text, "}}");
    write_text(model, index_name, text.data);
    bytes_release(&text);
}

static void check_opens(const struct small_model *model)
{
    struct model *opened = NULL;
    struct error err = {0};
    if (!model_open(&opened, model->folder.path, "auto", &model_place_alone, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    model_close(opened);
}

TEST(one_file_opens)
{
    const struct small_model model = small_make("BF16");
    small_write(&model);
    check_opens(&model);
    small_remove(&model);
}

TEST(two_files_with_an_index_open)
{
    const struct small_model model = small_make("BF16");
    small_write_config(&model, NULL);
    small_write_tensors(&model, "one.safetensors", 0, 5);
    small_write_tensors(&model, "two.safetensors", 5, model.n_tensors);
    write_index(&model, 5, "two.safetensors");
    check_opens(&model);
    small_write_config(&model, "\"hidden_size\": 128");
    check_refused(&model, ERROR_INPUT, index_name, "is [64], want [128]", (char *)NULL);
    small_remove(&model);
}

TEST(an_index_that_names_a_path_is_refused)
{
    static const char *const names[] = {
        "../two.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", "a\\\\b"};
    const struct small_model model = small_make("BF16");
    small_write_config(&model, NULL);
    small_write_tensors(&model, "one.safetensors", 0, model.n_tensors);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        write_index(&model, 5, names[i]);
        check_refused(&model, ERROR_INPUT, index_name, "\"weight_map\"", "in the same folder",
                      (char *)NULL);
    }
    small_remove(&model);
}

TEST(an_index_that_lies_is_refused)
{
    const struct small_model model = small_make("BF16");
    small_write_config(&model, NULL);
    small_write_tensors(&model, "one.safetensors", 0, 5);
    write_index(&model, 5, "two.safetensors");
    check_refused(&model, ERROR_INPUT, "two.safetensors", (char *)NULL); /* no such file */
    small_write_tensors(&model, "two.safetensors", 6, model.n_tensors);
    check_refused(&model, ERROR_INPUT, index_name, model.tensor[5].name, "is not in", (char *)NULL);
    write_text(&model, index_name, "{\"weight_map\": {}}");
    check_refused(&model, ERROR_INPUT, index_name, "missing or empty", (char *)NULL);
    write_text(&model, index_name, "{\"weight_map\": {\"a\": 1}}");
    check_refused(&model, ERROR_INPUT, index_name, "tensor a", (char *)NULL);
    write_text(&model, index_name, "{\"weight_map\": ");
    check_refused(&model, ERROR_INPUT, index_name, "line 1", (char *)NULL);
    small_remove(&model);
}

TEST(a_pickle_is_refused_with_the_way_to_convert)
{
    const struct small_model model = small_make("BF16");
    small_write_config(&model, NULL);
    write_text(&model, "pytorch_model.bin", "PK");
    check_refused(&model, ERROR_UNSUPPORTED, "pytorch_model.bin", "a pickle", "save_pretrained",
                  (char *)NULL);
    small_remove(&model);
}

TEST(a_folder_without_weights_is_refused)
{
    const struct small_model model = small_make("BF16");
    small_write_config(&model, NULL);
    check_refused(&model, ERROR_INPUT, "no model.safetensors", (char *)NULL);
    small_remove(&model);
}

TEST(all_problems_of_the_tensors_are_told_at_once)
{
    struct small_model model = small_make("BF16");
    small_drop(&model, "model.layers.0.mlp.up_proj.weight");
    small_find(&model, "model.norm.weight")->shape[0] = 63;
    snprintf(small_find(&model, "lm_head.weight")->dtype, 8, "I8");
    small_add(&model, "model.layers.1.mlp.up_proj.weight", "BF16", 2, 2);
    small_write(&model);
    check_refused(
        &model, ERROR_INPUT, "/model.safetensors: ", "model.layers.0.mlp.up_proj.weight is missing",
        "model.norm.weight is [63], want [64]", "lm_head.weight is I8, want BF16, F16 or F32",
        "model.layers.1.mlp.up_proj.weight is not part of this model", (char *)NULL);
    small_remove(&model);
}

TEST(problems_that_do_not_fit_are_counted)
{
    struct small_model model = small_make("BF16");
    model.n_tensors = 1;
    small_write(&model);
    check_refused(&model, ERROR_INPUT, "11 problems: ", "is missing; ", "; ... and ", " more",
                  (char *)NULL);
    small_remove(&model);
}

TEST(a_bias_that_the_config_does_not_name_is_refused)
{
    struct small_model model = small_make("BF16");
    small_add(&model, "model.layers.0.self_attn.q_proj.bias", "BF16", 64, 0);
    small_write(&model);
    check_refused(&model, ERROR_INPUT, "self_attn.q_proj.bias is not part of this model",
                  (char *)NULL);
    small_write_config(&model, "\"attention_bias\": true");
    check_refused(&model, ERROR_INPUT, "self_attn.k_proj.bias is missing",
                  "self_attn.o_proj.bias is missing", (char *)NULL);
    small_remove(&model);
}

TEST(a_second_spelling_of_a_layer_is_no_layer)
{
    struct small_model model = small_make("BF16");
    small_add(&model, "model.layers.00.mlp.up_proj.weight", "BF16", 96, 64);
    small_write(&model);
    check_refused(&model, ERROR_INPUT, "model.layers.00.mlp.up_proj.weight is not part",
                  (char *)NULL);
    small_remove(&model);
}

TEST(what_old_tools_saved_is_passed_over)
{
    struct small_model model = small_make("BF16");
    small_add(&model, "model.layers.0.self_attn.rotary_emb.inv_freq", "F32", 8, 0);
    small_write(&model);
    small_write_config(&model, "\"tie_word_embeddings\": true"); /* lm_head is there all the same */
    check_opens(&model);
    small_remove(&model);
}

TEST(a_header_of_many_tensors_is_refused_in_little_time_and_memory)
{
    struct small_model model = small_make("BF16");
    struct bytes header = {0}, file = {0};
    small_write_config(&model, NULL);
    bytes_add_text(&header, "{");
    while (header.len < SAFETENSORS_MAX_HEADER - 100)
        bytes_printf(&header, "%s\"%zu\":0", header.len > 1 ? "," : "", header.len);
    bytes_add_text(&header, "}");
    const uint64_t length = header.len;
    bytes_add(&file, &length, sizeof length);
    bytes_add(&file, header.data, header.len);
    folder_write(&model.folder, "model.safetensors", file.data, file.len);
    bytes_release(&header);
    bytes_release(&file);
    check_refused(&model, ERROR_INPUT, "/model.safetensors: header", (char *)NULL);
    small_remove(&model);
}
