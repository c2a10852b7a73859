# Tests of the CUDA module: on the fake driver; or, without it, on that of the machine.
option(TV_FAKECUDA "test the CUDA module on a driver that needs no GPU" ON)
set(cuda_environment "TV_BACKEND_PATH=${PROJECT_BINARY_DIR}")
if(TV_FAKECUDA AND CMAKE_CXX_COMPILER)
  add_subdirectory(fakecuda)
  list(APPEND cuda_environment "LD_LIBRARY_PATH=${FAKECUDA_DIR}")
elseif(TV_FAKECUDA)
  tv_report("tests of CUDA" "left out, the fake driver needs a C++ compiler")
  return()
elseif(NOT TV_CUDA_HAS_KERNELS)
  tv_report("tests of CUDA" "off")
  return()
else()
  tv_report("tests of CUDA" "on the driver of this machine")
endif()

# tv_cuda_test(foo [ORDERS] [property...]): test_cuda_foo.c, as tv_test does it, on the fake driver.
# ORDERS: in all orders of threads and blocks, as cuda_foo.case, @reverse and @shuffled.
function(tv_cuda_test name)
  cmake_parse_arguments(PARSE_ARGV 1 with "ORDERS" "" "")
  set(orders forward)
  if(with_ORDERS AND TARGET fakecuda AND NOT TV_SANITIZE MATCHES "thread") # finds races in each order
    set(orders forward reverse shuffled)
  endif()
  set(program test_cuda_${name})
  add_executable(${program} ${program}.c)
  target_link_libraries(${program} PRIVATE tv_check ${CMAKE_DL_LIBS})
  target_include_directories(${program} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/fakecuda)
  target_compile_definitions(${program} PRIVATE TV_DATA="${PROJECT_SOURCE_DIR}/data")
  add_dependencies(${program} tensorvar_cuda)
  if(TARGET fakecuda)
    add_dependencies(${program} fakecuda)
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
tv_cuda_test(dlpack)
tv_cuda_test(elementwise)
tv_cuda_test(gemm)
tv_cuda_test(index ORDERS)
tv_cuda_test(memory)
tv_cuda_test(optimize)
tv_cuda_test(product ORDERS)
tv_cuda_test(random)
tv_cuda_test(reduce ORDERS)
tv_cuda_test(rows ORDERS)
tv_cuda_test(sort ORDERS)
tv_cuda_test(step ORDERS)
tv_cuda_test(stream)
tv_cuda_test(transfer)
if(TARGET fakecuda) # about the stand-ins themselves, and what only they can be asked to do
  tv_cuda_test(fake)
  if(NOT TV_SANITIZE MATCHES "thread") # a thousand processes, each slow to begin
    tv_cuda_test(faults)
  endif()
  tv_cuda_test(lt)
  tv_cuda_test(probe)
endif()

if(TV_SANITIZE MATCHES "thread") # each CUDA thread is a fiber of its own there: only kernels' own tests
  return()
endif()

# Programs of the CPU once more, on the fake GPU: their cases begin with it as the current device, and
# values are fetched to be compared. One test for a program, cuda0.foo. Cases that follow are left
# out, because of what is said behind them.
function(tv_cuda_again name)
  list(TRANSFORM ARGN PREPEND "-")
  add_test(NAME cuda0.${name} COMMAND test_${name} ${ARGN})
  set_tests_properties(cuda0.${name} PROPERTIES LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 300
    ENVIRONMENT "${cuda_environment};TV_TEST_DEVICE=cuda:0;TV_OPENBLAS=none")
endfunction()

tv_cuda_again(accumulator failed_allocation_adds_nothing) # not each allocation must succeed
tv_cuda_again(assign updates_go_in_place) # counts blocks of the CPU
tv_cuda_again(average)
tv_cuda_again(backward)
tv_cuda_again(cast same_dtype_is_the_same_handle) # looks for the CPU's own handle
tv_cuda_again(checkpoint)
tv_cuda_again(clip)
tv_cuda_again(concat
  concat_refuses stack_refuses # name the CPU in a text
  a_failed_allocation_leaves_nothing) # not each allocation of a GPU's op must succeed
tv_cuda_again(constraint)
tv_cuda_again(create)
tv_cuda_again(difference)
tv_cuda_again(digits)
tv_cuda_again(elementwise)
tv_cuda_again(format any_allocation_may_fail) # counts allocations of the CPU
tv_cuda_again(gradients)
tv_cuda_again(history
  another_thread_is_named readers_look_back_while_another_writes # other threads begin on the CPU
  failed_allocation_changes_no_history) # counts allocations of the CPU
tv_cuda_again(index
  take_refuses # names the CPU in a text
  a_failed_allocation_leaves_nothing) # as above
tv_cuda_again(lbfgs)
tv_cuda_again(linalg
  precision_is_the_threads # the CPU has one precision
  matmul_refuses # names the CPU in a text
  a_failed_allocation_leaves_nothing # as above
  a_failed_dense_layer_leaves_nothing) # as above
tv_cuda_again(loss
  entropy_refuses # names the CPU in a text
  a_failed_allocation_leaves_nothing # as above
  a_tape_keeps_logits_and_labels_alone) # counts bytes of the CPU
tv_cuda_again(map exclusive_map_is_in_place_where_nobody_holds_the_bytes) # of the CPU
tv_cuda_again(memory)
tv_cuda_again(method)
tv_cuda_again(npy_read
  fortran_order_is_a_view the_data_of_the_tree_are_read # views of what the host has read
  maps_show_the_files_own_pages what_cannot_be_mapped_is_copied_or_refused) # maps are host memory
tv_cuda_again(npy_write)
tv_cuda_again(npy_writer
  a_file_in_fortran_order_grows_along_its_last_axis # a view of what the host has read
  a_mapped_file_stays_mapped_while_it_grows # maps are host memory
  sizes_beyond_int64_are_refused # views that a GPU would copy
  one_writer_at_a_time_has_the_file another_process_reads_whole_rows_meanwhile) # children use the CPU alone
tv_cuda_again(npz
  stored_members_are_mapped # maps are host memory
  any_allocation_may_fail) # counts allocations of the CPU
tv_cuda_again(optimizer)
tv_cuda_again(part part_updates_go_in_place) # addresses that the host can read
tv_cuda_again(print)
tv_cuda_again(projection)
tv_cuda_again(promotion)
tv_cuda_again(random)
tv_cuda_again(reduce a_failed_allocation_leaves_nothing) # as above
tv_cuda_again(restore)
tv_cuda_again(row_update)
tv_cuda_again(rows a_large_table_fits_in_its_own_memory) # of the CPU
tv_cuda_again(safetensors every_kind_of_array_is_saved) # maps, as above
tv_cuda_again(scaler)
tv_cuda_again(scatter scatters_go_in_place) # addresses that the host can read
tv_cuda_again(schedule)
tv_cuda_again(scope)
tv_cuda_again(shape a_failed_allocation_leaves_nothing) # as above
tv_cuda_again(slice a_failed_allocation_leaves_nothing) # as above
tv_cuda_again(step failed_allocation_changes_no_variable_and_no_slot) # as above
tv_cuda_again(tape
  keeps_only_what_gradients_read # counts bytes of the CPU
  a_million_ops_in_a_small_stack # in a thread, which begins on the CPU
  failed_allocation_leaves_no_handle) # counts allocations of the CPU
tv_cuda_again(tensor
  asking # asks for the CPU
  data_of_a_view_is_compact_and_stays strided_data_shows_steps) # addresses that the host can read
tv_cuda_again(treatment)
tv_cuda_again(variable
  new_has_defaults # asks for the CPU
  readers_see_whole_versions_while_others_write # other threads begin on the CPU
  a_forked_child_goes_on) # which may use the CPU alone
tv_cuda_again(vector)
tv_cuda_again(weak)
tv_cuda_again(write)

if(TARGET fakecuda AND TV_EXAMPLES AND NOT TV_SANITIZE)
  add_test(NAME example.train_digits_on_cuda
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/cuda_digits.sh $<TARGET_FILE:train_digits>
            ${PROJECT_SOURCE_DIR}/data ${FAKECUDA_DIR})
  set_tests_properties(example.train_digits_on_cuda PROPERTIES LABELS example TIMEOUT 600
    ENVIRONMENT TV_BACKEND_PATH=${PROJECT_BINARY_DIR})
endif()
if(TV_CUDA_HAS_KERNELS)
  add_test(NAME house.cuda_kernels_are_wide_and_small
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/cuda_kernels.sh ${TV_CUDA_FOLDER}
            $<TARGET_FILE:tensorvar_cuda> ${TV_CUDA_KERNELS})
endif()
