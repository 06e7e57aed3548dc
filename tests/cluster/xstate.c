// Lets user-mode-linux run on processors with more state than it knows (AMX), as a preloaded
// library.
//
// It saves and sets the floating-point state of a process with a buffer of a fixed size. The host
// returns as much as fits, and takes no less than all of it (EFAULT; xstateregs_set in
// arch/x86/kernel/fpu/regset.c). So this sets the rest to what the process has already.

#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned char whole[1 << 16]; // eight times the state of today's processors; one thread

static long call(long request, pid_t pid, void *address, void *data)
{
	return syscall(SYS_ptrace, request, pid, address, data);
}

static long set_state(pid_t pid, void *address, struct iovec *part)
{
	struct iovec all = {whole, sizeof whole};
	if (call(PTRACE_GETREGSET, pid, address, &all) != 0 || all.iov_len <= part->iov_len)
		return call(PTRACE_SETREGSET, pid, address, part);
	memcpy(whole, part->iov_base, part->iov_len);
	return call(PTRACE_SETREGSET, pid, address, &all);
}

// As in the C library, a request that peeks returns the word.
static long peek(long request, pid_t pid, void *address)
{
	long word = 0;
	if (call(request, pid, address, &word) < 0)
		return -1;
	errno = 0;
	return word;
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list arguments;
	va_start(arguments, request);
	pid_t pid = va_arg(arguments, pid_t);
	void *address = va_arg(arguments, void *);
	void *data = va_arg(arguments, void *);
	va_end(arguments);
	if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE)
		return set_state(pid, address, data);
	if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER)
		return peek(request, pid, address);
	return call(request, pid, address, data);
}
