/* config.json: what is taken, and what is refused with the file and the key in the message. */
#include "runtime/model/config.h"

#include "base/bytes.h"
#include "base/error.h"
#include "tests/test.h"
#include "tests/unit/runtime_model/small_model.h"

#include <stdio.h>
#include <string.h>

static bool read_with(const char *keys, struct model_config *config, struct error *err)
{
    struct small_model model = small_make("BF16");
    *err = (struct error){0};
    small_write_config(&model, keys);
    const bool ok = model_config_read(config, model.folder.path, err);
    small_remove(&model);
    return ok;
}

static struct model_config taken(const char *keys)
{
    struct model_config config;
    struct error err;
    if (!read_with(keys, &config, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return config;
}

static void refused(const char *keys, enum error_kind kind, const char *text)
{
    struct model_config config;
    struct error err;
    if (read_with(keys, &config, &err))
        test_fail(__FILE__, __LINE__, "{%s} was not refused", keys);
    if (err.kind != kind || strstr(err.text, text) == NULL ||
        strstr(err.text, "/config.json: ") == NULL)
        test_fail(__FILE__, __LINE__, "{%s}: kind %d, \"%s\" where \"%s\" is wanted", keys,
                  err.kind, err.text, text);
}

TEST(config_of_llama)
{
    const struct model_config config = taken(NULL);
    CHECK_STR(config.architecture, "LlamaForCausalLM");
    CHECK_EQ(config.hidden, 64);
    CHECK_EQ(config.head_dim, 16);
    CHECK_EQ(config.n_kv_heads, 2);
    CHECK(config.attention_scale == 0.25f);
    CHECK(!config.tied && !config.attention_bias && !config.o_bias && !config.mlp_bias);
}

TEST(head_dim_may_be_given_and_kv_heads_left_out)
{
    const struct model_config config =
        taken("\"head_dim\": 32, \"num_key_value_heads\": null, \"hidden_size\": 66");
    CHECK_EQ(config.head_dim, 32);
    CHECK_EQ(config.n_kv_heads, 4);
}

TEST(attention_bias_of_llama_is_also_that_of_o_proj)
{
    const struct model_config config = taken("\"attention_bias\": true, \"mlp_bias\": true");
    CHECK(config.attention_bias && config.o_bias && config.mlp_bias);
}

TEST(qwen2_has_biases_on_q_k_v_alone)
{
    const struct model_config config = taken("\"architectures\": [\"Qwen2ForCausalLM\"]");
    CHECK(config.attention_bias && !config.o_bias && !config.mlp_bias);
}

TEST(an_unknown_architecture_is_refused_with_those_known)
{
    refused("\"architectures\": [\"MambaForCausalLM\"]", ERROR_UNSUPPORTED,
            "LlamaForCausalLM, MistralForCausalLM, Phi3ForCausalLM, Qwen2ForCausalLM");
    refused("\"architectures\": [\"MambaForCausalLM\"]", ERROR_UNSUPPORTED, "MambaForCausalLM");
    refused("\"architectures\": []", ERROR_INPUT, "\"architectures\" is missing");
    refused("\"architectures\": \"LlamaForCausalLM\"", ERROR_INPUT, "\"architectures\"");
}

TEST(what_would_change_the_numbers_is_refused)
{
    refused("\"hidden_act\": \"gelu\"", ERROR_UNSUPPORTED, "\"hidden_act\" is \"gelu\"");
    refused("\"quantization_config\": {\"quant_method\": \"awq\"}", ERROR_UNSUPPORTED, "awq");
    refused("\"partial_rotary_factor\": 0.5", ERROR_UNSUPPORTED,
            "\"partial_rotary_factor\": models of this family do not rotate 8 elements of 16");
    refused("\"torch_dtype\": \"float64\"", ERROR_UNSUPPORTED, "\"torch_dtype\" is \"float64\"");
    refused("\"rope_scaling\": {\"rope_type\": \"mrope\"}", ERROR_UNSUPPORTED, "mrope");
    refused("\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}}",
            ERROR_UNSUPPORTED, "full_attention");
}

TEST(absurd_numbers_are_refused_by_key)
{
    static const char *const keys[] = {
        "hidden_size", "num_hidden_layers",       "intermediate_size",   "num_attention_heads",
        "vocab_size",  "max_position_embeddings", "num_key_value_heads", "head_dim"};
    static const char *const values[] = {"0",   "-1",     "2147483648", "9223372036854775807",
                                         "1.5", "\"64\"", "1e300",      "[64]"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            char text[128], quoted[64];
            snprintf(text, sizeof text, "\"%s\": %s", keys[k], values[v]);
            snprintf(quoted, sizeof quoted, "\"%s\"", keys[k]);
            refused(text, ERROR_INPUT, quoted);
        }
    refused("\"rms_norm_eps\": -1", ERROR_INPUT, "\"rms_norm_eps\"");
    refused("\"rope_theta\": 0", ERROR_INPUT, "\"rope_theta\"");
    refused("\"tie_word_embeddings\": 1", ERROR_INPUT, "\"tie_word_embeddings\"");
}

TEST(sizes_that_do_not_fit_together_are_refused)
{
    refused("\"num_key_value_heads\": 3", ERROR_INPUT, "\"num_key_value_heads\" is 3");
    refused("\"hidden_size\": 66", ERROR_INPUT, "\"hidden_size\" is 66");
    refused("\"head_dim\": 15", ERROR_INPUT, "\"head_dim\" is 15");
    refused("\"hidden_size\": 4096", ERROR_INPUT, "\"head_dim\" is 1024");
}

TEST(rope_parameters_out_of_range_are_refused_by_key)
{
#define SCALING "\"rope_scaling\": {\"rope_type\": "
    refused(SCALING "\"linear\"}", ERROR_INPUT, "\"rope_scaling\": \"factor\" is missing");
    refused(SCALING "\"linear\", \"factor\": 0}", ERROR_INPUT, "\"factor\"");
    refused(SCALING "\"yarn\", \"factor\": 1e9}", ERROR_INPUT, "\"factor\"");
    refused(SCALING "\"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
                    "\"high_freq_factor\": 4}",
            ERROR_INPUT, "\"high_freq_factor\"");
    refused(SCALING "\"longrope\", \"short_factor\": [1], \"long_factor\": [1]}", ERROR_INPUT,
            "\"short_factor\" has 1 items");
    refused(SCALING "\"longrope\", \"short_factor\": [1, 1, 1, 1, 1, 1, 1, \"x\"]}", ERROR_INPUT,
            "\"short_factor\", item 7");
    refused(SCALING "\"yarn\", \"original_max_position_embeddings\": 0}", ERROR_INPUT,
            "\"original_max_position_embeddings\"");
    refused("\"rope_scaling\": [1]", ERROR_INPUT, "\"rope_scaling\" is no object");
    refused("\"max_position_embeddings\": 1, " SCALING
            "\"longrope\", \"factor\": 4, \"short_factor\": [1, 1, 1, 1, 1, 1, 1, 1], "
            "\"long_factor\": [1, 1, 1, 1, 1, 1, 1, 1]}",
            ERROR_INPUT, "\"original_max_position_embeddings\" is 1");
}

static void check_text(const char *text, size_t n_bytes, const char *wanted)
{
    const struct folder folder = folder_make();
    struct model_config config;
    struct error err = {0};
    folder_write(&folder, "config.json", text, n_bytes);
    const bool ok = model_config_read(&config, folder.path, &err);
    folder_remove(&folder);
    CHECK(!ok);
    CHECK_EQ(err.kind, ERROR_INPUT);
    if (strstr(err.text, wanted) == NULL || strstr(err.text, "/config.json") == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" where \"%s\" is wanted", err.text, wanted);
}

TEST(a_file_that_is_no_config_is_refused)
{
    struct bytes large = {0};
    check_text("", 0, "config.json");
    check_text("[]", 2, "no JSON object");
    check_text("{\"a\": ", 6, "line 1");
    for (int i = 0; i < 2000; i++)
        bytes_add_text(&large, "[");
    check_text(large.data, large.len, "config.json");
    while (large.len <= CONFIG_MAX_BYTES)
        bytes_add_text(&large, "                                                                ");
    check_text(large.data, large.len, "larger than");
    bytes_release(&large);
}

TEST(a_missing_config_is_named)
{
    struct model_config config;
    struct error err = {0};
    CHECK(!model_config_read(&config, "/nonexistent/model", &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "/nonexistent/model/config.json"));
}
