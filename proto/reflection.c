/* Files are few, so each request looks through all of them. */
#include "proto/reflection.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "proto/descriptor_names.pb-c.h"
#include "proto/grpc/reflection/v1/reflection.pb-c.h"
#include "proto/pack.h"
#include "proto/services.h"
#include "proto/unpack.h"

#include <stdio.h>
#include <string.h>

typedef Phalanx__Descriptor__FileSet file_set;
typedef Phalanx__Descriptor__FileNames file_names;
typedef Phalanx__Descriptor__TypeNames type_names;
typedef Phalanx__Descriptor__EnumNames enum_names;
typedef Phalanx__Descriptor__Named named;
typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;

enum { NOT_FOUND = 5, UNIMPLEMENTED = 12 }; /* google.rpc.Code */
/* The fields of the question; protobuf-c's names of them are longer than a line. */
enum {
    FILE_BY_FILENAME = 3,
    FILE_CONTAINING_SYMBOL,
    FILE_CONTAINING_EXTENSION,
    ALL_EXTENSION_NUMBERS_OF_TYPE,
    LIST_SERVICES,
};

/* ---- names in a file ---- */

/* "rest" of "name.rest", "" of "name", NULL of anything else. */
static const char *behind(const char *symbol, ProtobufCBinaryData name)
{
    if (strncmp(symbol, (const char *)name.data, name.len) != 0)
        return NULL;
    symbol += name.len;
    return *symbol == '\0' ? symbol : *symbol == '.' ? symbol + 1 : NULL;
}

static bool has_name(named *const *list, size_t n, const char *symbol)
{
    for (size_t i = 0; i < n; i++) {
        const char *rest = behind(symbol, list[i]->name);
        if (rest != NULL && *rest == '\0')
            return true;
    }
    return false;
}

static bool has_enum(enum_names *const *list, size_t n, const char *symbol)
{
    for (size_t i = 0; i < n; i++) {
        /* a value of an enum is a name beside it, not inside */
        const char *rest = behind(symbol, list[i]->name);
        if ((rest != NULL && *rest == '\0') || has_name(list[i]->value, list[i]->n_value, symbol))
            return true;
    }
    return false;
}

static bool has_type(type_names *const *list, size_t n, const char *symbol)
{
    for (size_t i = 0; i < n; i++) {
        const type_names *type = list[i];
        const char *rest = behind(symbol, type->name);
        if (rest != NULL && (*rest == '\0' || has_name(type->field, type->n_field, rest) ||
                             has_enum(type->enum_type, type->n_enum_type, rest) ||
                             has_type(type->nested_type, type->n_nested_type, rest)))
            return true;
    }
    return false;
}

static bool file_has(const file_names *file, const char *symbol)
{
    const char *inside = behind(symbol, file->package);
    if (inside == NULL || *inside == '\0')
        return false;
    for (size_t i = 0; i < file->n_service; i++) {
        const char *rest = behind(inside, file->service[i]->name);
        if (rest != NULL &&
            (*rest == '\0' || has_name(file->service[i]->method, file->service[i]->n_method, rest)))
            return true;
    }
    return has_type(file->message_type, file->n_message_type, inside) ||
           has_enum(file->enum_type, file->n_enum_type, inside);
}

/* ---- answers ---- */

struct answer {
    struct arena *scratch;
    const file_set *set;
    file_names *const *file; /* [set->n_file] */
    reflection_response *response;
};

static void answer_error(struct answer *a, int code, const char *text)
{
    Grpc__Reflection__V1__ErrorResponse *error = arena_alloc(a->scratch, 1, sizeof *error);
    grpc__reflection__v1__error_response__init(error);
    error->has_error_code = error->has_error_message = true;
    error->error_code = code;
    error->error_message = pack_text((struct json_text){text, strlen(text)});
    a->response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    a->response->error_response = error;
}

static void answer_file(struct answer *a, size_t file)
{
    Grpc__Reflection__V1__FileDescriptorResponse *found = arena_alloc(a->scratch, 1, sizeof *found);
    grpc__reflection__v1__file_descriptor_response__init(found);
    found->n_file_descriptor_proto = 1;
    found->file_descriptor_proto = &a->set->file[file];
    a->response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    a->response->file_descriptor_response = found;
}

static void answer_by_name(struct answer *a, const char *name)
{
    for (size_t i = 0; i < a->set->n_file; i++) {
        const char *rest = behind(name, a->file[i]->name);
        if (rest != NULL && *rest == '\0') {
            answer_file(a, i);
            return;
        }
    }
    answer_error(a, NOT_FOUND, "no such file");
}

static void answer_by_symbol(struct answer *a, const char *symbol)
{
    for (size_t i = 0; i < a->set->n_file; i++)
        if (file_has(a->file[i], symbol)) {
            answer_file(a, i);
            return;
        }
    answer_error(a, NOT_FOUND, "no such symbol");
}

static void add_service(struct answer *a, Grpc__Reflection__V1__ListServiceResponse *list,
                        ProtobufCBinaryData package, ProtobufCBinaryData name)
{
    Grpc__Reflection__V1__ServiceResponse *service = arena_alloc(a->scratch, 1, sizeof *service);
    grpc__reflection__v1__service_response__init(service);
    char *text = arena_alloc(a->scratch, package.len + 1 + name.len, 1);
    memcpy(text, package.data, package.len);
    text[package.len] = '.';
    memcpy(text + package.len + 1, name.data, name.len);
    service->has_name = true;
    service->name = pack_text((struct json_text){text, package.len + 1 + name.len});
    list->service[list->n_service++] = service;
}

static void answer_services(struct answer *a)
{
    Grpc__Reflection__V1__ListServiceResponse *list = arena_alloc(a->scratch, 1, sizeof *list);
    grpc__reflection__v1__list_service_response__init(list);
    size_t n = 0;
    for (size_t i = 0; i < a->set->n_file; i++)
        n += a->file[i]->n_service;
    list->service = arena_alloc(a->scratch, n, sizeof *list->service);
    for (size_t i = 0; i < a->set->n_file; i++)
        for (size_t k = 0; k < a->file[i]->n_service; k++)
            add_service(a, list, a->file[i]->package, a->file[i]->service[k]->name);
    a->response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    a->response->list_services_response = list;
}

/* What was built in; it parses, or the build is broken. */
static void read_files(struct answer *a)
{
    struct error err = {0};
    a->set = unpack_message(&phalanx__descriptor__file_set__descriptor, a->scratch, services_file,
                            services_file_bytes, &err);
    check(a->set != NULL);
    file_names **file = arena_alloc(a->scratch, a->set->n_file, sizeof *file);
    for (size_t i = 0; i < a->set->n_file; i++) {
        file[i] =
            (file_names *)unpack_message(&phalanx__descriptor__file_names__descriptor, a->scratch,
                                         a->set->file[i].data, a->set->file[i].len, &err);
        check(file[i] != NULL);
    }
    a->file = file;
}

static bool answer_request(struct answer *a, const reflection_request *request, struct error *err)
{
    const char *name;
    switch ((int)request->message_request_case) {
    case FILE_BY_FILENAME:
        if (!unpack_text(&name, a->scratch, request->file_by_filename, "file_by_filename", err))
            return false;
        answer_by_name(a, name);
        return true;
    case FILE_CONTAINING_SYMBOL:
        if (!unpack_text(&name, a->scratch, request->file_containing_symbol,
                         "file_containing_symbol", err))
            return false;
        answer_by_symbol(a, name);
        return true;
    case LIST_SERVICES:
        answer_services(a);
        return true;
    case FILE_CONTAINING_EXTENSION:
    case ALL_EXTENSION_NUMBERS_OF_TYPE:
        answer_error(a, NOT_FOUND, "there are no extensions");
        return true;
    default:
        answer_error(a, UNIMPLEMENTED, "a question that is not known");
        return true;
    }
}

bool reflection_answer(struct bytes *out, struct arena *scratch, const void *request,
                       size_t n_bytes, struct error *err)
{
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    struct answer a = {.scratch = scratch, .response = &response};
    const reflection_request *parsed =
        unpack_message(&grpc__reflection__v1__server_reflection_request__descriptor, scratch,
                       request, n_bytes, err);
    if (parsed == NULL)
        return false;
    read_files(&a);
    if (!answer_request(&a, parsed, err))
        return false;
    response.has_valid_host = parsed->has_host;
    response.valid_host = parsed->host;
    response.original_request = (reflection_request *)parsed;
    pack_message(out, &response.base);
    return true;
}
