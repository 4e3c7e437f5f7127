/** Following an answer as it grows, unless the person has scrolled up to read. */

const NEAR_PX = 8;

export class Follower {
  #scroller;
  #button;
  #following = false;
  #resting = true;
  #top = 0;

  /** `button` takes one back to the end. */
  constructor(scroller, button) {
    this.#scroller = scroller;
    this.#button = button;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    button.addEventListener("click", () => this.follow());
    const sizes = new ResizeObserver(() => this.grew());
    for (const element of [scroller, ...scroller.children]) sizes.observe(element);
  }

  /** There is nothing to follow yet: go to the beginning. */
  rest() {
    this.#resting = true;
    this.#following = false;
    this.#scroller.scrollTop = 0;
    this.grew();
  }

  /** Go to the end and stay there. */
  follow() {
    this.#resting = false;
    this.#following = true;
    this.grew();
  }

  /** The content is longer than before. */
  grew() {
    if (this.#following) {
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
      this.#top = this.#scroller.scrollTop;
    }
    this.#button.hidden = this.#resting || this.#following || this.#atEnd();
  }

  #scrolled() {
    // Only a move upwards is a wish to stay: growing content puts the end further away by itself.
    if (this.#resting) return;
    if (this.#atEnd()) this.#following = true;
    else if (this.#scroller.scrollTop < this.#top) this.#following = false;
    this.#top = this.#scroller.scrollTop;
    this.#button.hidden = this.#following;
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }
}

/** Keep the page above a keyboard on the screen, also in browsers (Safari) that lay it over the page. */
export function fitToKeyboard() {
  const view = globalThis.visualViewport;
  view?.addEventListener("resize", () => {
    // A page that is zoomed in is meant to be larger than what is seen of it.
    const height = view.scale === 1 && view.height < innerHeight ? `${view.height}px` : "";
    document.body.style.height = height;
    if (height) scrollTo(0, 0);
  });
}
