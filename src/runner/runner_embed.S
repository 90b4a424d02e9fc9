/* The code that a job's process loads, inside the executable. */
    .section .rodata
    .balign 16
    .global runner_guest_begin, runner_guest_end, runner_addon_begin, runner_addon_end
runner_guest_begin:
    .incbin "runner_guest.js"
runner_guest_end:
    .byte 0
    .balign 16
runner_addon_begin:
    .incbin "runner_addon.node"
runner_addon_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
