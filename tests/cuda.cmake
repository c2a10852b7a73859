# Tests of the CUDA module on the fake driver.
option(TV_FAKECUDA "test the CUDA module on a driver that needs no GPU" ON)
if(NOT TV_FAKECUDA)
  tv_report("fake CUDA" "off")
  return()
elseif(NOT CMAKE_CXX_COMPILER)
  tv_report("fake CUDA" "left out, there is no C++ compiler")
  return()
endif()
add_subdirectory(fakecuda)

set(cuda_environment "LD_LIBRARY_PATH=${FAKECUDA_DIR};TV_BACKEND_PATH=${PROJECT_BINARY_DIR}")

# tv_cuda_test(foo [ORDERS] [property...]): test_cuda_foo.c, as tv_test does it, on the fake driver.
# ORDERS: in all orders of threads and blocks, as cuda_foo.case, @reverse and @shuffled.
function(tv_cuda_test name)
  cmake_parse_arguments(PARSE_ARGV 1 with "ORDERS" "" "")
  set(orders forward)
  if(with_ORDERS)
    set(orders forward reverse shuffled)
  endif()
  set(program test_cuda_${name})
  add_executable(${program} ${program}.c)
  target_link_libraries(${program} PRIVATE tv_check ${CMAKE_DL_LIBS})
  target_include_directories(${program} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/fakecuda)
  target_compile_definitions(${program} PRIVATE TV_DATA="${PROJECT_SOURCE_DIR}/data")
  add_dependencies(${program} fakecuda)
  if(TARGET tensorvar_cuda)
    add_dependencies(${program} tensorvar_cuda)
  endif()
  set(list ${CMAKE_CURRENT_BINARY_DIR}/${program}.cases.cmake)
  set(included ${CMAKE_CURRENT_BINARY_DIR}/${program}.cmake)
  file(WRITE ${included} "if(EXISTS [[${list}]])\n  include([[${list}]])\n"
    "else()\n  add_test(cuda_${name}.is_built ${program})\nendif()\n")
  add_custom_command(TARGET ${program} POST_BUILD
    COMMAND ${CMAKE_COMMAND} -D name=cuda_${name} -D program=$<TARGET_FILE:${program}>
            -D out=${list} "-D properties=${with_UNPARSED_ARGUMENTS}"
            "-D environment=${cuda_environment}" "-D orders=${orders}"
            -P ${CMAKE_CURRENT_SOURCE_DIR}/discover.cmake
    BYPRODUCTS ${list} VERBATIM)
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${included})
endfunction()

tv_cuda_test(convert ORDERS)
tv_cuda_test(elementwise)
tv_cuda_test(fake)
tv_cuda_test(faults)
tv_cuda_test(gemm)
tv_cuda_test(index ORDERS)
tv_cuda_test(memory)
tv_cuda_test(optimize)
tv_cuda_test(probe)
tv_cuda_test(product ORDERS)
tv_cuda_test(random)
tv_cuda_test(reduce ORDERS)
tv_cuda_test(rows ORDERS)
tv_cuda_test(sort ORDERS)
tv_cuda_test(stream)
tv_cuda_test(transfer)
