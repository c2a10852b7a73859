/* SPDX-License-Identifier: MIT
 * npy_probe [--mmap] FILE: what a .npy file holds, as one line of JSON.
 *
 *     {"ok": true, "dtype": "float32", "shape": [3, 4], "fortran": false, "sha256": "9f86d0…"}
 *     {"ok": false, "error": "npy_load: x.npy: header byte 10: descr '<U3' is not supported
 * (text)"}
 *
 * The hash is that of the elements in C order, little-endian. The status is 0, or 1 if not ok. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <tensorvar/tensorvar.h>

/* SHA-256, FIPS 180-4. The constants are the first bits of the fractions of roots of primes. */
static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void sha256_block(uint32_t state[8], const unsigned char *block) {
  static const uint32_t k[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
      0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
      0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
      0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
      0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
      0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
      0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
      0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
      0xc67178f2};
  uint32_t w[64], v[8];
  for (int i = 0; i < 16; i++) {
    w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
           (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
  }
  for (int i = 16; i < 64; i++) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[i - 7] +
           (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
  }
  memcpy(v, state, sizeof v);
  for (int i = 0; i < 64; i++) {
    const uint32_t e = v[4], a = v[0];
    const uint32_t t1 =
        v[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
    const uint32_t t2 =
        (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += t1;
    v[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) state[i] += v[i];
}

static void sha256(const unsigned char *bytes, size_t n, char hex[65]) {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  unsigned char last[128] = {0};
  const size_t rest = n % 64, ends = rest < 56 ? 64 : 128;
  for (size_t i = 0; i + 64 <= n; i += 64) sha256_block(state, bytes + i);
  if (rest) memcpy(last, bytes + n - rest, rest);
  last[rest] = 0x80;
  for (int i = 0; i < 8; i++)
    last[ends - 1 - (size_t)i] = (unsigned char)((uint64_t)n * 8 >> 8 * i);
  for (size_t i = 0; i < ends; i += 64) sha256_block(state, last + i);
  for (int i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08" PRIx32, state[i]);
}

static void print_quoted(const char *text) {
  putchar('"');
  for (const char *c = text; *c; c++) {
    if ((unsigned char)*c < 0x20) {
      printf("\\u%04x", (unsigned)(unsigned char)*c);
    } else {
      printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    }
  }
  putchar('"');
}

static int probe(const char *path, bool maps) {
  tv_npy_options options = TV_NPY_OPTIONS;
  options.map = maps ? TV_NPY_MAP : TV_NPY_COPY;
  tv_npy_layout layout = TV_NPY_LAYOUT;
  options.layout = &layout;
  tv_tensor *x = tv_npy_load(path, &options);
  const void *bytes = tv_tensor_data(x);
  if (tv_error()) return 1;

  char hash[65];
  sha256(bytes, (size_t)tv_tensor_bytes(x), hash);
  printf("{\"ok\": true, \"dtype\": \"%s\", \"shape\": [", tv_dtype_name(tv_tensor_dtype(x)));
  for (int k = 0; k < tv_tensor_rank(x); k++) {
    printf(k ? ", %" PRId64 : "%" PRId64, tv_tensor_shape(x)[k]);
  }
  printf("], \"fortran\": %s, \"sha256\": \"%s\"}\n", layout.is_fortran ? "true" : "false", hash);
  return 0;
}

int main(int argc, char **argv) {
  const bool maps = argc == 3 && !strcmp(argv[1], "--mmap");
  if (argc != 2 && !maps) {
    puts("{\"ok\": false, \"error\": \"usage: npy_probe [--mmap] FILE\"}");
    return 1;
  }
  tv_scope scope;
  tv_scope_begin(&scope);
  const int status = probe(argv[argc - 1], maps);
  if (status) {
    printf("{\"ok\": false, \"error\": ");
    print_quoted(tv_error_text());
    puts("}");
  }
  tv_scope_end(&scope, NULL);
  return status;
}
