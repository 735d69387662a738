/* proto/services.h: the .proto files of all services as protoc describes them, built in: a
 * google.protobuf.FileDescriptorSet. */
#pragma once
#include <stddef.h>

extern const unsigned char services_file[];
extern const size_t services_file_bytes;
