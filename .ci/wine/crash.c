/* What the launcher is tried with. */
#include <windows.h>

int main(void)
{
    ExitProcess(0x80000100);
}
