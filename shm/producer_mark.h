#pragma once

// Who may write into this process's event ring. A test may fork, and its child may run back into the harness,
// which would make it a second producer of a ring that allows one. The mark is a word on a private page that
// the kernel wipes on fork (MADV_WIPEONFORK), so that any child finds itself unmarked, however it was forked
// and without a system call; the harness's own forks call adopt(). A child made by vfork or CLONE_VM shares
// the page and so the mark.

#include "base/mapping.h"
#include "base/result.h"

namespace tach::shm {

class ProducerMark {
  public:
    // The calling process is the producer.
    [[nodiscard]] static base::Result<ProducerMark> create();

    [[nodiscard]] bool is_producer() const;

    // Makes the calling process the producer. The one before must have stopped writing: ended, or waiting for
    // this one.
    void adopt();

  private:
    explicit ProducerMark(base::WipedPage page) : page_(std::move(page)) {}
    base::WipedPage page_;
};

}  // namespace tach::shm
