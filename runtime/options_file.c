/* --config FILE: a YAML mapping of option names to values, one document. Keys are the long names
 * without the dashes (tensor-parallel-size or tensor_parallel_size), or the other key of the
 * table. A list sets an option that may be repeated once for each item. */
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/options_table.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { MAX_FILE_BYTES = 1 << 20 }; /* a file of options is a page; more is a mistake */

static const struct option *find_key(struct options *out, const char *key)
{
    char *name = arena_alloc(&out->arena, strlen(key) + 3, 1);
    memcpy(name, "--", 2);
    for (size_t i = 0; key[i] != '\0'; i++)
        name[2 + i] = key[i] == '_' ? '-' : key[i];
    const struct option *option = option_find(name, out->command);
    for (int i = 0; option == NULL && i < n_options; i++)
        if (option_table[i].key != NULL && strcmp(option_table[i].key, key) == 0 &&
            (option_table[i].commands >> out->command & 1) != 0)
            option = &option_table[i];
    return option;
}

static bool set_scalar(struct options *out, const struct option *option, const char *path,
                       const yaml_node_t *node, struct error *err)
{
    char where[300];
    snprintf(where, sizeof where, "%s:%zu: %s", path, node->start_mark.line + 1, option->name + 2);
    if (node->type != YAML_SCALAR_NODE)
        return error_set(err, ERROR_INPUT, "%s: want one value", where);
    return option_set(out, option, where, (const char *)node->data.scalar.value, err);
}

static bool set_pair(struct options *out, const char *path, yaml_document_t *document,
                     const yaml_node_pair_t *pair, struct error *err)
{
    const yaml_node_t *key = yaml_document_get_node(document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(document, pair->value);
    if (key->type != YAML_SCALAR_NODE)
        return error_set(err, ERROR_INPUT, "%s:%zu: a key must be a name", path,
                         key->start_mark.line + 1);
    const char *name = (const char *)key->data.scalar.value;
    if (strcmp(name, "model") == 0 || strcmp(name, "model_name_or_path") == 0) {
        if (value->type != YAML_SCALAR_NODE)
            return error_set(err, ERROR_INPUT, "%s:%zu: %s wants a path", path,
                             value->start_mark.line + 1, name);
        if (out->model == NULL)
            out->model = arena_copy_text(&out->arena, (const char *)value->data.scalar.value,
                                         value->data.scalar.length);
        return true;
    }
    const struct option *option = find_key(out, name);
    if (option == NULL)
        return error_set(err, ERROR_INPUT, "%s:%zu: unknown key %s; see --help=all", path,
                         key->start_mark.line + 1, name);
    if (options_is_given(out, option->name))
        return true; /* the command line wins, and the first of two lines */
    out->given |= (uint64_t)1 << (option - option_table);
    if (value->type != YAML_SEQUENCE_NODE || option->kind != OPTION_LIST)
        return set_scalar(out, option, path, value, err);
    for (const yaml_node_item_t *item = value->data.sequence.items.start;
         item < value->data.sequence.items.top; item++)
        if (!set_scalar(out, option, path, yaml_document_get_node(document, *item), err))
            return false;
    return true;
}

static bool set_document(struct options *out, const char *path, yaml_document_t *document,
                         struct error *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    if (root == NULL)
        return true; /* an empty file sets nothing */
    if (root->type != YAML_MAPPING_NODE)
        return error_set(err, ERROR_INPUT, "%s: want `key: value` lines", path);
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++)
        if (!set_pair(out, path, document, pair, err))
            return false;
    return true;
}

bool options_read_file(struct options *out, const char *path, struct error *err)
{
    char *text;
    size_t n_bytes;
    if (!file_read(&text, &n_bytes, path, MAX_FILE_BYTES, err))
        return false;
    yaml_parser_t parser;
    yaml_document_t document;
    bool done = false;
    if (!yaml_parser_initialize(&parser)) {
        error_set(err, ERROR_SYSTEM, "%s: no memory for the YAML parser", path);
    } else {
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, n_bytes);
        if (yaml_parser_load(&parser, &document)) {
            done = set_document(out, path, &document, err);
            yaml_document_delete(&document);
        } else {
            error_set(err, ERROR_INPUT, "%s:%zu: no YAML: %s", path, parser.problem_mark.line + 1,
                      parser.problem ? parser.problem : "unreadable");
        }
        yaml_parser_delete(&parser);
    }
    memory_free(text);
    return done;
}
