/* One file, written by hand: what the format allows, and every way to break it. */
#include "runtime/model/safetensors.h"

#include "base/bytes.h"
#include "base/error.h"
#include "tests/files.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

struct content {
    struct folder folder;
    struct file_path path;
};

static struct content write_raw(uint64_t length, const char *header, size_t n_data)
{
    struct content content = {.folder = folder_make()};
    struct bytes file = {0};
    bytes_add(&file, &length, sizeof length);
    bytes_add_text(&file, header);
    for (size_t i = 0; i < n_data; i++)
        bytes_add_char(&file, (char)i);
    content.path = folder_write(&content.folder, "x.safetensors", file.data, file.len);
    bytes_release(&file);
    return content;
}

static void refused_raw(uint64_t length, const char *header, size_t n_data, const char *text)
{
    const struct content content = write_raw(length, header, n_data);
    struct safetensors file;
    struct error err = {0};
    const bool ok = safetensors_open(&file, content.path.text, &err);
    safetensors_close(&file);
    folder_remove(&content.folder);
    if (ok)
        test_fail(__FILE__, __LINE__, "%s was not refused", header);
    CHECK_EQ(err.kind, ERROR_INPUT);
    if (strstr(err.text, text) == NULL || strstr(err.text, "/x.safetensors: ") == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" where \"%s\" is wanted", err.text, text);
}

static void refused(const char *header, size_t n_data, const char *text)
{
    refused_raw(strlen(header), header, n_data, text);
}

#define TENSOR(name, dtype, shape, offsets) \
    "\"" name "\": {\"dtype\": \"" dtype "\", \"shape\": " shape ", \"data_offsets\": " offsets "}"

TEST(tensors_are_found_by_name_with_shape_and_bytes)
{
    const char *const header =
        "{\"__metadata__\": {\"a\": \"b\"}, " TENSOR("b", "BF16", "[2, 3]", "[8, 20]") ", " TENSOR(
            "a", "F32", "[2]", "[0, 8]") ", " TENSOR("scalar", "U8", "[]",
                                                     "[20, 21]") ", " TENSOR("none", "F32",
                                                                             "[0, 7]",
                                                                             "[20, 20]") "}  ";
    const struct content content = write_raw(strlen(header), header, 21);
    struct safetensors file;
    struct error err = {0};
    if (!safetensors_open(&file, content.path.text, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    CHECK_EQ(file.n_tensors, 4);
    const struct tensor *b = safetensors_find(&file, "b");
    CHECK(b != NULL && strcmp(b->format, "BF16") == 0);
    CHECK_EQ(b->n_dims, 2);
    CHECK_EQ(b->shape[1], 3);
    CHECK_EQ(b->n_bytes, 12);
    CHECK_EQ(b->data[0], 8);
    CHECK_EQ(safetensors_find(&file, "scalar")->n_bytes, 1);
    CHECK_EQ(safetensors_find(&file, "none")->n_bytes, 0);
    CHECK(safetensors_find(&file, "c") == NULL);
    safetensors_close(&file);
    folder_remove(&content.folder);
}

TEST(a_file_cut_at_any_byte_is_refused)
{
    const char *const header = "{" TENSOR("a", "F32", "[4]", "[0, 16]") "}";
    const uint64_t length = strlen(header);
    char whole[256];
    memcpy(whole, &length, sizeof length);
    snprintf(whole + sizeof length, sizeof whole - sizeof length, "%s0123456789abcdef", header);
    const size_t n_bytes = sizeof length + length + 16;
    const struct folder folder = folder_make();
    for (size_t n = 0; n <= n_bytes; n++) {
        struct safetensors file;
        struct error err = {0};
        const struct file_path path = folder_write(&folder, "cut.safetensors", whole, n);
        const bool ok = safetensors_open(&file, path.text, &err);
        safetensors_close(&file);
        CHECK_EQ(ok, n == n_bytes);
        CHECK(ok || (err.kind == ERROR_INPUT && strstr(err.text, "/cut.safetensors: ")));
    }
    folder_remove(&folder);
}

TEST(an_absurd_header_length_is_refused)
{
    const char *const header = "{" TENSOR("a", "U8", "[1]", "[0, 1]") "}";
    refused_raw(0, header, 1, "a header of 0 bytes");
    refused_raw(1, header, 1, "a header of 1 bytes");
    refused_raw(1000, header, 1, "a header of 1000 bytes in a file of");
    refused_raw((uint64_t)1 << 63, header, 1, "a header of 9223372036854775808 bytes");
    refused_raw(UINT64_MAX, header, 1, "a header of 18446744073709551615 bytes");
    refused_raw(SAFETENSORS_MAX_HEADER + 1, header, 1, "is this a safetensors file?");
}

TEST(a_header_that_is_no_json_is_refused)
{
    refused("{\"a\": ", 4, "header: line 1");
    refused("[1, 2]", 4, "no JSON object");
    refused("{\"a\": 1}", 4, "tensor a: no JSON object");
    refused("{\"a\": [[[[[[[[1]]]]]]]]}", 4, "header");
    refused("{" TENSOR("a", "U8", "[1]", "[0, 1]") ", " TENSOR("a", "U8", "[1]", "[0, 1]") "}", 1,
            "header");
}

TEST(offsets_outside_of_the_data_or_backwards_are_refused)
{
    refused("{" TENSOR("a", "U8", "[9]", "[0, 9]") "}", 8, "tensor a: \"data_offsets\" [0, 9]");
    refused("{" TENSOR("a", "U8", "[1]", "[1, 0]") "}", 8, "[1, 0]");
    refused("{" TENSOR("a", "U8", "[1]", "[-1, 0]") "}", 8, "[-1, 0]");
    refused("{" TENSOR("a", "U8", "[1]", "[0, 9223372036854775807]") "}", 8, "are outside");
    refused("{" TENSOR("a", "U8", "[1]", "[0, 1e300]") "}", 8, "two whole numbers");
    refused("{" TENSOR("a", "U8", "[1]", "[0]") "}", 8, "two whole numbers");
    refused("{\"a\": {\"dtype\": \"U8\", \"shape\": [1]}}", 8, "two whole numbers");
}

TEST(tensors_that_overlap_or_leave_gaps_are_refused)
{
    refused("{" TENSOR("a", "U8", "[4]", "[0, 4]") ", " TENSOR("b", "U8", "[4]", "[2, 6]") "}", 6,
            "tensor b overlaps a");
    refused("{" TENSOR("a", "U8", "[4]", "[0, 4]") ", " TENSOR("b", "U8", "[4]", "[0, 4]") "}", 4,
            "overlaps");
    refused("{" TENSOR("a", "U8", "[4]", "[4, 8]") "}", 8, "4 bytes before tensor a");
    refused("{" TENSOR("a", "U8", "[4]", "[0, 4]") "}", 8, "the last 4 bytes");
    refused("{}", 8, "the last 8 bytes");
}

TEST(shapes_that_overflow_or_do_not_fit_their_bytes_are_refused)
{
    refused("{" TENSOR("a", "F32", "[4294967296, 4294967296]", "[0, 0]") "}", 0, "2^64");
    refused("{" TENSOR("a", "F32", "[4611686018427387904]", "[0, 0]") "}", 0, "another number");
    refused("{" TENSOR("a", "F32", "[1152921504606846976]", "[0, 0]") "}", 0, "another number");
    refused("{" TENSOR("a", "F32", "[-1]", "[0, 0]") "}", 0, "no size");
    refused("{" TENSOR("a", "F32", "[1.5]", "[0, 4]") "}", 4, "no size");
    refused("{" TENSOR("a", "F32", "[3]", "[0, 8]") "}", 8, "\"shape\" [3] in F32");
    refused("{" TENSOR("a", "F4", "[3]", "[0, 1]") "}", 1, "another number");
    refused("{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0, 4]") "}", 4, "at most 8 sizes");
    refused("{" TENSOR("a", "F32", "4", "[0, 4]") "}", 4, "\"shape\"");
}

TEST(an_unknown_format_is_refused)
{
    refused("{" TENSOR("a", "FLOAT", "[1]", "[0, 4]") "}", 4, "tensor a: \"dtype\" is \"FLOAT\"");
    refused("{\"a\": {\"shape\": [1], \"data_offsets\": [0, 4]}}", 4, "\"dtype\" is missing");
}

TEST(a_name_that_is_too_long_is_refused)
{
    char header[1024], name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(header, sizeof header,
             "{\"%s\": {\"dtype\": \"U8\", \"shape\": [1], \"data_offsets\": [0, 1]}}", name);
    refused(header, 1, "a name of 299 bytes");
}
