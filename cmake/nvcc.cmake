# Runs nvcc for one image of kernels, and keeps what tests look at: the PTX, and what ptxas says of
# registers and spills.
#     cmake -D nvcc=... -D image=unary -D folder=... -D source=... -D "flags=..." -P nvcc.cmake
file(MAKE_DIRECTORY ${folder}/${image})
execute_process(
  COMMAND ${nvcc} ${flags} -Xptxas -v --keep --keep-dir ${folder}/${image}
          -MD -MF ${folder}/${image}.d -MT ${folder}/${image}.fatbin -fatbin ${source} -o ${folder}/${image}.fatbin
  RESULT_VARIABLE result OUTPUT_VARIABLE said ERROR_VARIABLE said)
file(WRITE ${folder}/${image}/usage.txt "${said}")
if(result)
  file(REMOVE ${folder}/${image}.fatbin)
  message(FATAL_ERROR "${said}")
endif()
file(GLOB ptx ${folder}/${image}/*.ptx)
list(SORT ptx)
list(POP_BACK ptx newest)
file(RENAME ${newest} ${folder}/${image}/kernels.ptx)
file(GLOB rest ${folder}/${image}/*)
list(FILTER rest EXCLUDE REGEX "/(kernels\\.ptx|usage\\.txt)$")
file(REMOVE ${rest})
