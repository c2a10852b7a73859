# 32-bit x86 by the compiler of 64-bit x86: pointers and size_t of 32 bits, offsets of 64. Debian's
# lib32gcc-12-dev and libc6-dev-i386 hold what it needs, and lib32z1-dev zlib; gcc-multilib, which holds
# the rest, cannot be installed beside the compilers for other processors, so that the kernel's headers
# are taken from where those of x86-64 are.
set(CMAKE_C_COMPILER gcc)
set(CMAKE_CXX_COMPILER "") # the tests of C++ are left to 64 bits
set(CMAKE_C_FLAGS_INIT "-m32 -msse2 -mfpmath=sse -Wno-psabi -idirafter /usr/include/x86_64-linux-gnu")
set(CMAKE_LIBRARY_PATH /usr/lib32)
