/* Files that are damaged or made to harm: each is refused with the key, in bounded memory. */
#include "base/bytes.h"
#include "base/system.h"
#include "runtime/text/detokenizer.h"
#include "runtime/text/encoder.h"
#include "runtime/text/ids.h"
#include "runtime/text/tokenizer.h"
#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/runtime_text/small_tokenizer.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define WORDS(...) \
    (const char *const[]) { __VA_ARGS__, NULL }
#define OK_MODEL "'model':{'vocab':{'a':0,'b':1,'ab':2},'merges':['a b']}"

TEST(a_file_cut_anywhere_is_refused)
{
    const char *const whole =
        "{\"added_tokens\":[{\"id\":3,\"content\":\"<x>\"}],\"normalizer\":{\"type\":\"NFC\"},"
        "\"model\":{\"vocab\":{\"a\":0,\"\\u00e9\":1,\"ab\":2,\"b\":4},\"merges\":[\"a b\"]}}";
    const struct folder folder = folder_make();
    struct error err = {0};
    tokenizer_close(open_bytes(whole, strlen(whole), &err));
    CHECK_STR(err.text, "");
    for (size_t n = 0; n < strlen(whole); n++) {
        err = (struct error){0};
        CHECK(open_bytes_in(&folder, whole, n, &err) == NULL);
        CHECK_EQ(err.kind, ERROR_INPUT);
        CHECK(strstr(err.text, "tokenizer.json") != NULL);
    }
    folder_remove(&folder);
}

TEST(a_file_with_any_byte_changed_is_read_or_refused)
{
    const char *const whole =
        "{\"added_tokens\":[{\"id\":3,\"content\":\"<x>\"}],\"pre_tokenizer\":{\"type\":\"Split\","
        "\"pattern\":{\"Regex\":\"[a-c]+\"},\"behavior\":\"Isolated\"},\"model\":{\"vocab\":"
        "{\"a\":0,\"ab\":2,\"b\":4},\"merges\":[\"a b\"]}}";
    static const char bytes[] = "\0\"{}[],:\\0-9e\xFF\n";
    const struct folder folder = folder_make();
    char copy[512];
    for (size_t i = 0; i < strlen(whole); i++) {
        for (size_t k = 0; k < sizeof bytes; k++) {
            struct error err = {0};
            memcpy(copy, whole, strlen(whole));
            copy[i] = bytes[k];
            tokenizer_close(open_bytes_in(&folder, copy, strlen(whole), &err));
            CHECK(err.kind == ERROR_NONE || err.kind == ERROR_INPUT ||
                  err.kind == ERROR_UNSUPPORTED);
        }
    }
    folder_remove(&folder);
}

static const char every_stage[] =
    "{\"added_tokens\":[{\"id\":2,\"content\":\"<x>\",\"normalized\":true}],\"normalizer\":{"
    "\"type\":"
    "\"Sequence\",\"normalizers\":[{\"type\":\"Precompiled\",\"precompiled_charsmap\":"
    "\"CAAAAAABAAABAACAYQA=\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" +\"},\"content\":\" "
    "\"}]},"
    "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"split\":false},\"decoder\":{"
    "\"type\":"
    "\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" "
    "\",\"start\":1,"
    "\"stop\":0}]},\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",1],\"sep\":["
    "\"a\",1]},"
    "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"a\",-1.5e0]]}}";

TEST(a_file_of_every_stage_with_any_byte_changed_is_read_or_refused_and_then_works)
{
    static const char bytes[] = "\0\"{}[],:\\0-9eA\xFF";
    const struct folder folder = folder_make();
    char copy[sizeof every_stage];
    for (size_t i = 0; i < sizeof every_stage - 1; i++) {
        for (size_t k = 0; k < sizeof bytes; k++) {
            struct error err = {0};
            memcpy(copy, every_stage, sizeof every_stage);
            copy[i] = bytes[k];
            struct tokenizer *t = open_bytes_in(&folder, copy, sizeof every_stage - 1, &err);
            CHECK(err.kind == ERROR_NONE || err.kind == ERROR_INPUT ||
                  err.kind == ERROR_UNSUPPORTED);
            if (t == NULL)
                continue;
            struct encoder *e = encoder_create(t);
            struct ids ids = {0};
            struct bytes back = {0};
            const struct encode_options options = {.add_special_tokens = true};
            err = (struct error){0};
            const char *const text = "a  <x>\xC3\xA9\n";
            CHECK(encoder_encode(e, text, strlen(text), &options, &ids, &err) ||
                  err.kind == ERROR_INPUT);
            CHECK(detokenizer_decode(t, ids.data, ids.n, false, &back));
            bytes_release(&back);
            ids_release(&ids);
            encoder_destroy(e);
            tokenizer_close(t);
        }
    }
    folder_remove(&folder);
}

TEST(a_file_of_every_stage_cut_anywhere_is_refused)
{
    const struct folder folder = folder_make();
    struct error err = {0};
    tokenizer_close(open_bytes(every_stage, sizeof every_stage - 1, &err));
    CHECK_STR(err.text, "");
    for (size_t n = 0; n < sizeof every_stage - 1; n++) {
        err = (struct error){0};
        CHECK(open_bytes_in(&folder, every_stage, n, &err) == NULL);
        CHECK_EQ(err.kind, ERROR_INPUT);
    }
    folder_remove(&folder);
}

TEST(ids_that_come_twice_or_are_absurd_are_refused)
{
    check_refused("'model':{'vocab':{'a':0,'b':0},'merges':[]}", ERROR_INPUT,
                  WORDS("\"vocab\"", "id 0", "\"b\""));
    check_refused("'model':{'vocab':{'a':0,'a':1},'merges':[]}", ERROR_INPUT,
                  WORDS("\"vocab\"", "\"a\" comes twice"));
    check_refused("'model':{'vocab':{'a':-1},'merges':[]}", ERROR_INPUT, WORDS("vocab", "id -1"));
    check_refused("'model':{'vocab':{'a':4294967296},'merges':[]}", ERROR_INPUT,
                  WORDS("vocab", "4294967296"));
    check_refused("'model':{'vocab':{'a':99999999999999999999},'merges':[]}", ERROR_INPUT,
                  WORDS("vocab", "absurdly large"));
    check_refused("'model':{'vocab':{'a':1.5},'merges':[]}", ERROR_INPUT, WORDS("whole number"));
    check_refused("'model':{'vocab':{'a':'0'},'merges':[]}", ERROR_INPUT, WORDS("whole number"));
    check_refused("'added_tokens':[{'id':1000000000,'content':'<x>'}]," OK_MODEL, ERROR_INPUT,
                  WORDS("added_tokens\"[0]", "\"id\""));
    check_refused("'added_tokens':[{'id':1,'content':'<x>'}]," OK_MODEL, ERROR_INPUT,
                  WORDS("added_tokens\"[0]", "<x>", "\"b\""));
    check_refused("'added_tokens':[{'id':7,'content':'b'}]," OK_MODEL, ERROR_INPUT,
                  WORDS("added_tokens\"[0]", "id 7", "id 1"));
    check_refused("'added_tokens':[{'id':7,'content':'x'},{'id':7,'content':'y'}]," OK_MODEL,
                  ERROR_INPUT, WORDS("added_tokens\"[1]", "id 7"));
    check_refused("'added_tokens':[{'id':7,'content':''}]," OK_MODEL, ERROR_INPUT,
                  WORDS("content"));
}

TEST(merges_of_unknown_tokens_are_refused)
{
    check_refused("'model':{'vocab':{'a':0,'b':1},'merges':['a b']}", ERROR_INPUT,
                  WORDS("\"merges\"", "\"ab\"", "not in \"vocab\""));
    check_refused("'model':{'vocab':{'a':0},'merges':['a b']}", ERROR_INPUT,
                  WORDS("\"merges\"", "\"b\""));
    check_refused("'model':{'vocab':{'a':0},'merges':['a']}", ERROR_INPUT, WORDS("\"merges\""));
    check_refused("'model':{'vocab':{'a':0},'merges':['a a a']}", ERROR_INPUT, WORDS("\"merges\""));
    check_refused("'model':{'vocab':{'a':0},'merges':[['a']]}", ERROR_INPUT, WORDS("\"merges\""));
    check_refused("'model':{'vocab':{'a':0},'merges':[1]}", ERROR_INPUT, WORDS("\"merges\""));
}

TEST(a_merge_that_gives_one_of_its_parts_is_refused)
{
    check_refused("'model':{'vocab':{'a':0,'':1},'merges':[' a']}", ERROR_INPUT,
                  WORDS("\"merges\"", "gives one of them again"));
    check_refused("'model':{'vocab':{'a':0,'':1},'merges':[['a','']]}", ERROR_INPUT,
                  WORDS("\"merges\"", "gives one of them again"));
    check_refused("'model':{'continuing_subword_prefix':'##','vocab':{'a':0,'##':1},"
                  "'merges':['a ##']}",
                  ERROR_INPUT, WORDS("\"merges\"", "gives one of them again"));
}

TEST(missing_parts_and_wrong_types_are_refused)
{
    check_refused("", ERROR_INPUT, WORDS("\"model\""));
    check_refused("'model':null", ERROR_INPUT, WORDS("\"model\""));
    check_refused("'model':[]", ERROR_INPUT, WORDS("\"model\""));
    check_refused("'model':{'merges':[]}", ERROR_INPUT, WORDS("\"model\"", "\"vocab\""));
    check_refused("'model':{'vocab':{'a':0}}", ERROR_INPUT, WORDS("\"model\"", "\"merges\""));
    check_refused("'model':{'vocab':['a'],'merges':[]}", ERROR_INPUT, WORDS("\"vocab\""));
    check_refused("'model':{'vocab':{'a':0},'merges':{}}", ERROR_INPUT, WORDS("\"merges\""));
    check_refused("'model':{'vocab':{'a':0},'merges':[]},'model':{'vocab':{'a':0},'merges':[]}",
                  ERROR_INPUT, WORDS("model"));
    check_refused("'added_tokens':{}," OK_MODEL, ERROR_INPUT, WORDS("added_tokens"));
    check_refused("'added_tokens':[1]," OK_MODEL, ERROR_INPUT, WORDS("added_tokens\"[0]"));
    check_refused("'normalizer':7," OK_MODEL, ERROR_INPUT, WORDS("normalizer"));
    check_refused("'pre_tokenizer':{'type':'Split'}," OK_MODEL, ERROR_INPUT,
                  WORDS("pre_tokenizer", "behavior"));
    check_refused("'post_processor':{'type':'TemplateProcessing'}," OK_MODEL, ERROR_INPUT,
                  WORDS("post_processor", "single"));
    check_refused("'post_processor':{'type':'TemplateProcessing','single':["
                  "{'SpecialToken':{'id':'x'}},{'Sequence':{}}],"
                  "'special_tokens':{'x':{'ids':[77]}}}," OK_MODEL,
                  ERROR_INPUT, WORDS("post_processor", "\"x\""));
}

TEST(what_we_do_not_have_is_unsupported_by_name)
{
    check_refused("'model':{'type':'Magic','vocab':[['a',0.5]]}", ERROR_UNSUPPORTED,
                  WORDS("\"model\"", "Magic", "Unigram"));
    check_refused("'normalizer':{'type':'Magic'}," OK_MODEL, ERROR_UNSUPPORTED,
                  WORDS("\"normalizer\"", "Magic", "NFC"));
    check_refused(
        "'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'Magic'}]}," OK_MODEL,
        ERROR_UNSUPPORTED, WORDS("\"pre_tokenizer\"", "\"pretokenizers\"[0]", "Magic"));
    check_refused("'post_processor':{'type':'Magic'}," OK_MODEL, ERROR_UNSUPPORTED,
                  WORDS("\"post_processor\"", "Magic"));
    check_refused("'decoder':{'type':'Magic'}," OK_MODEL, ERROR_UNSUPPORTED,
                  WORDS("\"decoder\"", "Magic"));
    check_refused("'model':{'dropout':0.1,'vocab':{'a':0},'merges':[]}", ERROR_UNSUPPORTED,
                  WORDS("dropout"));
    check_refused("'pre_tokenizer':{'type':'Split','behavior':'Isolated','pattern':"
                  "{'Regex':'[a&&[b]]'}}," OK_MODEL,
                  ERROR_UNSUPPORTED, WORDS("pre_tokenizer", "[a&&[b]]"));
    check_refused("'pre_tokenizer':{'type':'Split','behavior':'Isolated','pattern':"
                  "{'Regex':'(a'}}," OK_MODEL,
                  ERROR_UNSUPPORTED, WORDS("pre_tokenizer", "(a"));
}

TEST(nesting_without_end_is_refused)
{
    struct bytes file = {0};
    for (int i = 0; i < 1 << 20; i++)
        bytes_add_text(&file, "{\"model\":");
    struct error err = {0};
    CHECK(open_bytes(file.data, file.len, &err) == NULL);
    CHECK_EQ(err.kind, ERROR_INPUT);
    bytes_clear(&file);
    bytes_add_text(&file, "{\"a\":");
    for (int i = 0; i < 1 << 20; i++)
        bytes_add_char(&file, '[');
    err = (struct error){0};
    CHECK(open_bytes(file.data, file.len, &err) == NULL);
    CHECK_EQ(err.kind, ERROR_INPUT);
    bytes_release(&file);
}

/* Up to the limits: half a million tokens, a million merges, a hundred thousand other values, and
 * nearly 40 MB. */
static void write_largest(struct bytes *file)
{
    enum { N_TOKENS = 1 << 19, N_MERGES = 1 << 20, N_OTHERS = 100000, N_SPACES = 12 << 20 };
    bytes_add_text(file, "{\"other\":[0");
    for (int i = 1; i < N_OTHERS; i++)
        bytes_add_text(file, ",\"a text of its own\"");
    bytes_add_text(file, "],");
    bytes_add_text(file, "\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"ab\":2");
    for (int i = 3; i < N_TOKENS; i++)
        bytes_printf(file, ",\"token %06d\":%d", i, i);
    for (int i = 0; i < N_SPACES; i++)
        bytes_add_char(file, ' ');
    bytes_add_text(file, "},\"merges\":[[\"a\",\"b\"]");
    for (int i = 1; i < N_MERGES; i++)
        bytes_add_text(file, ",[\"a\",\"b\"]");
    bytes_add_text(file, "]}}");
}

static void open_largest(void *context)
{
    const struct file_path *path = context;
    struct rusage before, after;
    struct error err = {0};
    struct tokenizer *t;
    getrusage(RUSAGE_SELF, &before);
    const bool ok = tokenizer_open(&t, path->text, &err);
    getrusage(RUSAGE_SELF, &after);
    const double cpu_s = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
                         (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e6;
    printf("  opened in %.2f s, at most %ld MB resident\n", cpu_s, after.ru_maxrss / 1024);
    fflush(stdout);
    _exit(!ok ? 1 : SANITIZED ? 0 : after.ru_maxrss > 100 * 1024 ? 2 : cpu_s > 1 ? 3 : 0);
}

TEST(the_largest_file_that_is_read_at_all_stays_within_100_mb_and_a_second)
{
    const struct folder folder = folder_make();
    struct bytes file = {0};
    write_largest(&file);
    struct file_path path = folder_write(&folder, "tokenizer.json", file.data, file.len);
    bytes_release(&file); /* before the fork: the child's memory counts from here */
    CHECK_EQ(outcome_of(open_largest, &path), 0);
    folder_remove(&folder);
}

/* Half a million tokens that share long beginnings, which makes the largest tree. */
static void write_largest_unigram(struct bytes *file)
{
    enum { N_TOKENS = 1 << 19 };
    bytes_add_text(file, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0]");
    for (int i = 1; i < N_TOKENS; i++) /* the digits in reverse: in no order at all */
        bytes_printf(file, ",[\"tok%d%d%d%d%d%d\",-%d.12345678901234567]", i % 10, i / 10 % 10,
                     i / 100 % 10, i / 1000 % 10, i / 10000 % 10, i / 100000 % 10, i % 17);
    bytes_add_text(file, "]}}");
}

TEST(the_largest_unigram_file_stays_within_100_mb_and_a_second)
{
    const struct folder folder = folder_make();
    struct bytes file = {0};
    write_largest_unigram(&file);
    struct file_path path = folder_write(&folder, "tokenizer.json", file.data, file.len);
    bytes_release(&file);
    CHECK_EQ(outcome_of(open_largest, &path), 0);
    folder_remove(&folder);
}

TEST(a_file_beyond_every_limit_is_not_read)
{
    const struct folder folder = folder_make();
    const struct file_path path = folder_write(&folder, "tokenizer.json", "{", 1);
    struct error err = {0};
    struct tokenizer *t;
    CHECK_EQ(truncate(path.text, (off_t)1 << 40), 0);
    CHECK(!tokenizer_open(&t, path.text, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    folder_remove(&folder);
}
