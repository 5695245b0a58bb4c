package filetree

import "syscall"

const sysFstatat = syscall.SYS_NEWFSTATAT
