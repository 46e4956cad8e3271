/* CRC-32 of PNG and zlib. */
#ifndef SAMC_HOST_IO_CRC_H
#define SAMC_HOST_IO_CRC_H

#include <stddef.h>
#include <stdint.h>

/* `table` is filled by the caller, once for many sums: no globals. */
void samc__crc_table(uint32_t table[256]);
uint32_t samc__crc(const uint32_t table[256], const void *bytes, size_t size);

#endif
